import { eventually } from './eventually';

/** Where what one process has let go of may be seen by others a moment later only, as slots are kept. */
export interface Late {
  readonly late?: boolean;
}

/** Runs a check of what another process has let go of: once, or where slots are kept until it passes. */
export async function soon<T>({ late }: Late, check: () => Promise<T>): Promise<T> {
  if (late !== true) return check();
  let result: { value: T } | undefined;
  await eventually(async () => {
    result = { value: await check() };
  });
  return (result as { value: T }).value;
}
