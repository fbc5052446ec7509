import { afterAll, beforeAll } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import { type Sidecar, type SidecarOptions, startSidecar } from '../../src/sidecar';
import { TestServer } from '../../src/testing';
import { SidecarClient } from './sidecar-client';

/** A server, a sidecar on it, and a program beside it that uses the library, for the tests of one file. */
export interface SidecarWorld {
  readonly server: TestServer;
  readonly sidecar: Sidecar;
  readonly client: SidecarClient;
  readonly beside: NatsDispatcher;
}

export function sidecarWorld(options: SidecarOptions = {}): () => SidecarWorld {
  let world: SidecarWorld | undefined;
  beforeAll(async () => {
    const server = await TestServer.start();
    const connect = { servers: server.url, ...options.connect };
    const sidecar = await startSidecar({ port: 0, drainTimeout: 0, ...options, connect });
    const beside = await NatsDispatcher.connect({ servers: server.url, holder: 'beside' });
    world = { server, sidecar, client: new SidecarClient(sidecar.url), beside };
  });
  afterAll(async () => {
    await world?.sidecar.close();
    await world?.beside.close();
    await world?.server.stop();
  });
  return () => {
    if (world === undefined) throw new Error('the world is not there yet');
    return world;
  };
}
