import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** A certificate authority, and a certificate of it for servers on this machine, as files. */
export class Certificates implements Disposable {
  private constructor(
    private readonly dir: string,
    /** The authority's certificate, for clients: PEM. */
    readonly ca: string,
  ) {}

  static async make(): Promise<Certificates> {
    const algorithm = { algorithm: 'sha256', keyType: 'ec' } as const;
    const ca = await generate([{ name: 'commonName', value: 'test authority' }], {
      ...algorithm,
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    });
    const own = await generate([{ name: 'commonName', value: 'localhost' }], {
      ...algorithm,
      ca: { key: ca.private, cert: ca.cert },
      extensions: [
        { name: 'basicConstraints', cA: false },
        {
          name: 'subjectAltName',
          altNames: [
            { type: 2, value: 'localhost' },
            { type: 7, ip: '127.0.0.1' },
          ],
        },
      ],
    });
    const made = new Certificates(mkdtempSync(join(tmpdir(), 'nats-semaphore-tls-')), ca.cert);
    writeFileSync(made.file('cert.pem'), own.cert);
    writeFileSync(made.file('key.pem'), own.private, { mode: 0o600 });
    return made;
  }

  /** What `docker/tls.conf` needs. */
  get env(): Record<string, string> {
    return {
      NATS_TLS_CERT: JSON.stringify(this.file('cert.pem')),
      NATS_TLS_KEY: JSON.stringify(this.file('key.pem')),
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  file(name: string): string {
    return join(this.dir, name);
  }
}
