import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseServers } from '../../src/store/nats/server-urls';
import { shown } from '../support/shown';

describe('server urls', () => {
  it.each<[string, unknown, object]>([
    ['a host', 'nats.example.com', { addresses: ['nats.example.com:4222'], tls: false }],
    ['a host and port', 'localhost:4333', { addresses: ['localhost:4333'], tls: false }],
    ['nats://', 'nats://localhost', { addresses: ['localhost:4222'], tls: false }],
    ['a slash at the end', 'nats://localhost:1/', { addresses: ['localhost:1'], tls: false }],
    ['capitals', 'NATS://h:1', { addresses: ['h:1'], tls: false }],
    ['tls://', 'tls://h', { addresses: ['h:4222'], tls: true }],
    ['IPv6 with brackets', 'nats://[::1]:4333', { addresses: ['[::1]:4333'], tls: false }],
    ['IPv6 without port', '[fe80::1]', { addresses: ['[fe80::1]:4222'], tls: false }],
    ['IPv6 without brackets', '::1', { addresses: ['[::1]:4222'], tls: false }],
    ['several', 'nats://a,b:1 , tls://[::1]', { addresses: ['a:4222', 'b:1', '[::1]:4222'], tls: true }],
    ['several in an array', ['a', 'nats://b'], { addresses: ['a:4222', 'b:4222'], tls: false }],
    ['nothing', undefined, { addresses: [], tls: false }],
    ['blanks', ['', ' ', ',,'], { addresses: [], tls: false }],
    ['a user', 'nats://u:p@h', { addresses: ['h:4222'], login: { user: 'u', password: 'p' }, tls: false }],
    ['a user without scheme', 'u:p@h:1', { addresses: ['h:1'], login: { user: 'u', password: 'p' } }],
    ['a token', 'nats://t0ken@h', { addresses: ['h:4222'], login: { token: 't0ken' } }],
    ['percent-encoding', 'nats://u%40x:p%3A%2F%25%2C@h', { login: { user: 'u@x', password: 'p:/%,' } }],
    ['an @ as it is', 'nats://u:p@ss@h', { addresses: ['h:4222'], login: { user: 'u', password: 'p@ss' } }],
    ['an empty password', 'nats://u:@h', { login: { user: 'u', password: '' } }],
    ['the same login twice', 'nats://u:p@a,nats://u:p@b', { login: { user: 'u', password: 'p' } }],
    ['a login in one of them', 'nats://u:p@a,nats://b', { login: { user: 'u', password: 'p' } }],
  ])('%s', (_, given, read) => {
    expect(parseServers(given)).toMatchObject(read);
  });

  it.each<[string, unknown, RegExp]>([
    ['ws://', 'ws://h', /^servers\[0\] is a ws:\/\/ URL.*wsconnect/],
    ['wss://', ['nats://a', 'wss://u:p@h'], /^servers\[1\] is a wss:\/\/ URL/],
    ['another scheme', 'http://h', /^servers\[0\] begins with another scheme than nats:\/\/ or tls:\/\//],
    ['two logins', 'nats://u:p@a,nats://u:other@b', /must all have the same user and password or token/],
    ['a port that is none', 'nats://h:0', /port that is not from 1 to 65535/],
    ['a port too high', 'h:65536', /port that is not from 1 to 65535/],
    ['a path', 'nats://h/path', /is not the address of a server/],
    ['no host', 'nats://u:p@', /is not the address of a server/],
    ['brackets around a name', '[name]:1', /has no IPv6 address in its brackets/],
    ['a stray %', 'nats://u:100%@h', /percent-encoded \(%25\)/],
    ['a comma in a password', 'nats://u:a,b@h', /^servers\[0\] is not the address/],
    ['a comma in a token', 'nats://a,b@h', /^servers\[1\] has a login.*%2C/],
  ])('%s is refused: %s', (_, given, message) => {
    expect(() => parseServers(given)).toThrow(RangeError);
    expect(() => parseServers(given)).toThrow(message);
  });

  it('that are no text are refused by their type alone', () => {
    for (const [given, type] of [
      [7, 'number'],
      [{ password: 'x' }, 'object'],
      [['a', null], 'null'],
    ] as const)
      expect(() => parseServers(given)).toThrow(
        `servers must be a string or an array of strings, got ${type}`,
      );
  });

  const secret = fc
    .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 })
    .map((text) => `S3cr3t${text}`);
  const host = fc.constantFrom('h', 'h:1', '127.0.0.1:4222', '[::1]', '[::1]:7', 'nats.example.com');

  it('give back any user, password and token that was encoded into them', () => {
    fc.assert(
      fc.property(
        secret,
        secret,
        host,
        fc.constantFrom('', 'nats://', 'tls://'),
        (user, password, at, scheme) => {
          const [u, p] = [encodeURIComponent(user), encodeURIComponent(password)];
          expect(parseServers(`${scheme}${u}:${p}@${at}`).login).toEqual({ user, password });
          expect(parseServers([`${scheme}${p}@${at}`, 'nats://other']).login).toEqual({ token: password });
        },
      ),
    );
  });

  it('never show it: neither where they are wrong, nor in the addresses', () => {
    const shape = fc.constantFrom<(user: string, secret: string, host: string) => string>(
      (u, s, h) => `nats://${u}:${s}@${h}`,
      (u, s, h) => `${u}:${s}@${h}`,
      (_, s, h) => `nats://${s}@${h}`,
      (_, s, h) => `${s}@${h}`,
      (u, s, h) => `tls://${u}:${s}@${h}/path`,
      (u, s, h) => `ws://${u}:${s}@${h}`,
      (_, s, h) => `wss://${s}@${h}`,
      (u, s, h) => `http://${u}:${s}@${h}`,
      (u, s, h) => `nats://${u}:${s}@${h}:99999`,
      (u, s, h) => `nats://${h},nats://${u}:${s}@${h}`,
      (u, s, h) => `nats://${u}:${s}@${h},nats://${u}:other@${h}`,
      (u, s) => `nats://${u}:${s}`,
      (u, s) => `nats://${u}:${s}@`,
      (u, s, h) => `nats://${u}:${s} @${h}`,
    );
    fc.assert(
      fc.property(shape, secret, host, fc.boolean(), (make, text, at, encode) => {
        const url = make('user', encode ? encodeURIComponent(text) : text, at);
        let seen: unknown;
        try {
          seen = parseServers(url).addresses;
        } catch (error) {
          expect((error as Error).name).toMatch(/^(RangeError|TypeError)$/);
          seen = error;
        }
        expect(shown(seen).toLowerCase()).not.toContain('s3cr3t');
      }),
      { numRuns: 2_000 },
    );
  });
});
