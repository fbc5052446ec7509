export type { SidecarOptions } from './options';
export { type Sidecar, startSidecar } from './sidecar';
