export type { SidecarLimits } from './limits';
export type { SidecarOptions } from './options';
export { type Sidecar, startSidecar } from './sidecar';
