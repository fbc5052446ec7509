import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

let perSecond: number | undefined;

/** CPU time that another process has used so far, in ms, to the kernel's tick (10 ms). NaN where there is no /proc. */
export function cpuMs(pid: number | undefined): number {
  if (pid === undefined || process.platform !== 'linux') return NaN;
  perSecond ??= Number(execFileSync('getconf', ['CLK_TCK']).toString());
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name comes second, in brackets, and may have blanks: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return ((user + system) * 1000) / perSecond;
}

/** CPU time of this process so far, in ms. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
