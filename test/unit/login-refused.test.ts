import { describe, expect, it } from '@jest/globals';
import { errors } from '@nats-io/nats-core';
import { connectFailure } from '../../src/store/nats/connect-failure';

describe('a login that the server turns away', () => {
  it('is for the user to mend', () => {
    const error = new errors.AuthorizationError('Authorization Violation');
    expect(connectFailure(error, 'localhost', false).name).toBe('PermissionDeniedError');
  });

  it('is tried again if it only came too late, as from a machine that is busy', () => {
    const error = new errors.AuthorizationError('Authentication Timeout');
    expect(connectFailure(error, 'localhost', false).name).toBe('BackendUnavailableError');
  });
});
