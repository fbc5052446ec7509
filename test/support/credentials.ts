import { mkdtempSync, writeFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { encodeAccount, encodeOperator, encodeUser, fmtCreds } from '@nats-io/jwt';
import { nkeys } from '@nats-io/nats-core';
import { ROLES, type Role, permissionsOf } from './roles';

/**
 * An operator with one account, a user for each role with the permissions of `docker/roles.conf`, and a server config
 * that trusts the operator: as `nsc` makes them.
 */
export class Credentials implements Disposable {
  private constructor(
    private readonly dir: string,
    private readonly creds: ReadonlyMap<Role, Uint8Array>,
  ) {}

  static async make(): Promise<Credentials> {
    const operator = nkeys.createOperator();
    const [system, account] = [nkeys.createAccount(), nkeys.createAccount()];
    // What is left out is 0, and not unbounded.
    const jetstream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
    const limits = { subs: -1, data: -1, payload: -1, conn: -1, imports: -1, exports: -1, wildcards: true };
    const jwts = {
      operator: await encodeOperator('test', operator, { system_account: system.getPublicKey() }),
      system: await encodeAccount('SYS', system, {}, { signer: operator }),
      account: await encodeAccount(
        'APP',
        account,
        { limits: { ...limits, ...jetstream } },
        { signer: operator },
      ),
    };
    const creds = new Map<Role, Uint8Array>();
    for (const role of ROLES) {
      const { publish, denied, subscribe } = permissionsOf(role);
      const user = nkeys.createUser();
      const permissions = {
        pub: { allow: [...publish], deny: [...denied] },
        sub: { allow: [...subscribe], deny: [] },
      };
      creds.set(role, fmtCreds(await encodeUser(role, user, account, permissions), user));
    }
    const made = new Credentials(mkdtempSync(join(tmpdir(), 'nats-semaphore-creds-')), creds);
    const docker = relative(made.dir, join(__dirname, '..', '..', 'docker'));
    writeFileSync(
      made.config,
      [
        // The server takes the path of an included file as relative, always.
        ...['single', 'tls'].map((name) => `include "${docker}/${name}.conf"`),
        `operator: ${jwts.operator}`,
        `system_account: ${system.getPublicKey()}`,
        'resolver: MEMORY',
        `resolver_preload: {`,
        `  ${system.getPublicKey()}: ${jwts.system}`,
        `  ${account.getPublicKey()}: ${jwts.account}`,
        '}',
      ].join('\n'),
    );
    for (const [role, content] of creds) writeFileSync(made.file(role), content, { mode: 0o600 });
    return made;
  }

  /** Config for a server that lets these users in, with TLS. */
  get config(): string {
    return join(this.dir, 'server.conf');
  }

  /** The role's credentials file. */
  file(role: Role): string {
    return join(this.dir, `${role}.creds`);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
