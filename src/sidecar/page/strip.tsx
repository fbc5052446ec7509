import type { JSX } from 'preact';
import type { AnyStatus } from '../schemas';
import { hueOf, occupancy, summary } from './words';

/** More than these are shown as one bar. */
const MAX_CELLS = 40;

/** The slots of a primitive, each in the colour of who holds it. */
export function Strip({ status }: { status: AnyStatus }): JSX.Element {
  if (status.kind === 'latch') return <Bar status={status} />;
  if (status.kind === 'read-write-lock') {
    const cells = status.holders.map((holder) => (
      <Cell
        key={holder.permitId}
        holder={holder.holder}
        title={`${holder.mode === 'write' ? 'Writing' : 'Reading'}: ${holder.holder}`}
      />
    ));
    return <Cells label={summary(status)}>{cells.length > 0 ? cells : <Cell title="Free" />}</Cells>;
  }
  const byslot = new Map(
    status.holders.flatMap(({ holder, slots }) => slots.map((slot) => [slot, holder] as const)),
  );
  const kept = new Map(status.kept.map(({ slot, holder }) => [slot, holder] as const));
  const most = Math.max(status.slots, ...byslot.keys(), -1) + (byslot.has(status.slots) ? 1 : 0);
  if (most > MAX_CELLS) return <Bar status={status} />;
  const cells = Array.from({ length: most }, (_, slot) => {
    const holder = byslot.get(slot);
    const beyond = slot >= status.slots ? ', above the limit' : '';
    const keeper = holder === undefined ? kept.get(slot) : undefined;
    const state =
      keeper === undefined ? (holder ?? 'free') : `kept by ${keeper} until somebody else wants it`;
    return <Cell key={slot} holder={holder} keeper={keeper} title={`Slot ${slot}: ${state}${beyond}`} />;
  });
  return <Cells label={summary(status)}>{cells}</Cells>;
}

function Cells({ label, children }: { label: string; children: JSX.Element | JSX.Element[] }): JSX.Element {
  return (
    <span class="strip" role="img" aria-label={label}>
      {children}
    </span>
  );
}

function Cell({ holder, keeper, title }: { holder?: string; keeper?: string; title: string }): JSX.Element {
  const owner = holder ?? keeper;
  const state = holder === undefined ? (keeper === undefined ? '' : ' kept') : ' held';
  return (
    <span
      class={`cell${state}`}
      title={title}
      style={owner === undefined ? undefined : { '--hue': hueOf(owner) }}
    />
  );
}

function Bar({ status }: { status: AnyStatus }): JSX.Element {
  const { held, of } = occupancy(status);
  const share = of === undefined || of === 0 ? 0 : Math.min(1, held / of);
  return (
    <span class="bar" role="img" aria-label={summary(status)} title={summary(status)}>
      <span style={{ width: `${share * 100}%` }} />
    </span>
  );
}
