export { TestServer, type ServerOptions, type StopOptions } from './test-server';
export { TestCluster, type ClusterOptions } from './test-cluster';
