import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply } from 'fastify';
import { SemaphoreError } from '../errors';
import { nearestName } from '../api/option-keys';
import { shownPath } from './secret';

/** One field of a request that is wrong. */
export interface FieldError {
  /** `ttl`, `metadata.job`; `name` is the one in the path. */
  readonly field: string;
  readonly message: string;
}

/** A refusal as callers get it: a problem document (RFC 9457), with a stable `code` to tell problems apart. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: readonly FieldError[] = [],
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
  }

  /** @param url of the request */
  body(url: string): Record<string, unknown> {
    return {
      type: `urn:nats-semaphore:problem:${this.code.toLowerCase().replaceAll('_', '-')}`,
      title: STATUS_CODES[this.status] ?? 'Error',
      status: this.status,
      code: this.code,
      detail: this.detail,
      instance: shownPath(url),
      ...(this.errors.length > 0 && { errors: this.errors }),
    };
  }
}

/** Of our errors, by code. What is not named is the fault of nobody who asked: 500. */
const STATUS_OF: Readonly<Record<string, number>> = {
  ACQUIRE_TIMEOUT: 409,
  IN_USE: 409,
  LIMIT_CONFLICT: 409,
  REMOVED: 410,
  STORE_FULL: 503,
  PERMIT_LOST: 410,
  BACKEND_UNAVAILABLE: 503,
  DISPATCHER_CLOSED: 503,
  UNSUPPORTED_SERVER: 501,
  PERMISSION_DENIED: 502,
  BUCKET_CONFIG: 502,
  CORRUPT_ENTRY: 502,
};

/** What the framework refuses by itself, by its own codes. */
const FRAMEWORK_CODES: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_JSON_BODY: 'INVALID_JSON',
  FST_ERR_BAD_URL: 'INVALID_URL',
};

export const invalid = (field: string, message: string): Problem =>
  new Problem(400, 'INVALID_REQUEST', `${field} ${message}`, [{ field, message }]);

export const notFound = (detail: string): Problem => new Problem(404, 'NOT_FOUND', detail);

/** Any failure of a handler as a problem. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof SemaphoreError) {
    const status = STATUS_OF[error.code] ?? 500;
    return new Problem(status, error.code, error.message, [], status === 503 ? { 'retry-after': '1' } : {});
  }
  const { validation, validationContext, statusCode, code, message } = error as Partial<FastifyError>;
  if (validation !== undefined) {
    const errors = validation.map((fault) => fieldError(fault, validationContext));
    return new Problem(
      400,
      'INVALID_REQUEST',
      errors.map(({ field, message: why }) => `${field} ${why}`).join('; '),
      errors,
    );
  }
  // The library's own checks begin with the argument's name: "ttl must be from ...".
  if (code === undefined && (error instanceof TypeError || error instanceof RangeError)) {
    const [, field, rest] = /^([a-zA-Z][\w.]*) (.*)$/s.exec(error.message) ?? [];
    if (field !== undefined && rest !== undefined) return invalid(field, rest);
  }
  if (statusCode === 415) {
    return new Problem(
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      'send the body as JSON, with Content-Type: application/json',
    );
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new Problem(statusCode, FRAMEWORK_CODES[code ?? ''] ?? 'INVALID_REQUEST', message ?? 'refused');
  }
  return new Problem(500, 'INTERNAL', 'something went wrong inside the sidecar; its log says what');
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem.body(reply.request.url));
}

function fieldError(
  fault: NonNullable<FastifyError['validation']>[number],
  context: string | undefined,
): FieldError {
  const { instancePath, keyword, params, message } = fault;
  const path = instancePath.split('/').slice(1).map(unescape);
  if (keyword === 'additionalProperties') {
    const given = params.additionalProperty as string;
    const { parentSchema } = fault as { parentSchema?: { properties?: object } };
    const meant = nearestName(given, Object.keys(parentSchema?.properties ?? {}));
    return {
      field: [...path, given].join('.'),
      message: meant === undefined ? 'is not known' : `is not known; did you mean ${meant}?`,
    };
  }
  if (keyword === 'required')
    return { field: [...path, params.missingProperty as string].join('.'), message: 'is missing' };
  const where = path.length > 0 ? path.join('.') : (context ?? 'body');
  const allowed = keyword === 'enum' ? `: ${(params.allowedValues as unknown[]).join(', ')}` : '';
  return { field: where, message: `${message ?? 'is wrong'}${allowed}` };
}

/** A step of a JSON pointer. */
const unescape = (step: string): string => step.replaceAll('~1', '/').replaceAll('~0', '~');
