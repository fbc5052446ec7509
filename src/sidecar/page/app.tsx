import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import type { BackendEvent, ChangeEvent, SnapshotEvent } from '../wire';
import { authorization, takeTokenFromAddress } from './api';
import { Confirm } from './confirm';
import type { Target } from './details';
import { EMPTY, type Item, type Model, withBackend, withChange, withLink, withSnapshot } from './model';
import { Row } from './row';
import { follow } from './stream';
import { TokenForm } from './token-form';
import { occupancy, plural, waitersOf } from './words';

/** Up to so many are shown with all details at once. */
const FEW = 6;
const MESSAGE_MS = 6_000;
const SHOW = { all: 'All', held: 'Held', waiting: 'Waiting' } as const;
type Show = keyof typeof SHOW;

/** The page. */
export function App(): JSX.Element {
  const [model, reconnect] = useModel();
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [text, setText] = useState('');
  const [show, setShow] = useState<Show>('all');
  const [target, setTarget] = useState<Target>();
  const [message, setMessage] = useState('');
  const toggle = useCallback((key: string) => {
    setToggled((before) => {
      const after = new Set(before);
      if (!after.delete(key)) after.add(key);
      return after;
    });
  }, []);
  const few = model.items.size <= FEW;
  const items = useMemo(() => [...model.items.values()], [model.items]);
  const shown = items.filter((item) => matches(item, text, show));
  useEffect(() => {
    if (message === '') return;
    const timer = setTimeout(() => setMessage(''), MESSAGE_MS);
    return () => clearTimeout(timer);
  }, [message]);
  return (
    <>
      <Header model={model} items={items} />
      <main class={fresh(model) ? '' : 'stale'}>
        <Trouble model={model} />
        {model.link === 'refused' && <TokenForm given={reconnect} />}
        {items.length > 0 && (
          <Filter text={text} setText={setText} show={show} setShow={setShow} shown={shown.length} />
        )}
        <div class="rows">
          {shown.map((item) => (
            <Row
              key={item.key}
              item={item}
              open={few !== toggled.has(item.key)}
              ahead={model.ahead}
              frozenAt={model.staleSince}
              toggle={toggle}
              release={setTarget}
            />
          ))}
        </div>
        {items.length === 0 && model.link === 'live' && <Nothing />}
        {items.length > 0 && shown.length === 0 && <p class="blank none">Nothing matches.</p>}
      </main>
      {target !== undefined && (
        <Confirm
          target={target}
          done={(outcome) => {
            setTarget(undefined);
            if (outcome !== undefined) setMessage(outcome);
          }}
        />
      )}
      <p class={message === '' ? 'toast' : 'toast shown'} role="status">
        {message}
      </p>
    </>
  );
}

function Header({ model, items }: { model: Model; items: readonly Item[] }): JSX.Element {
  const held = items.reduce(
    (sum, { status }) => sum + (status.kind === 'latch' ? 0 : occupancy(status).held),
    0,
  );
  const waiting = items.reduce((sum, { status }) => sum + waitersOf(status), 0);
  const figures = [
    ['in the bucket', items.filter(({ gone }) => !gone).length],
    ['held', held],
    ['waiting', waiting],
  ] as const;
  return (
    <header>
      <div class="bounds">
        <h1>
          <img src="/page/icon.svg" alt="" width="28" height="28" />
          Semaphores
        </h1>
        <dl>
          {figures.map(([label, n]) => (
            <div key={label}>
              <dd>{n}</dd>
              <dt>{label}</dt>
            </div>
          ))}
        </dl>
        <LinkState model={model} />
      </div>
    </header>
  );
}

function LinkState({ model }: { model: Model }): JSX.Element {
  const [kind, text] = fresh(model)
    ? ['good', 'Live']
    : model.link === 'connecting'
      ? ['idle', 'Connecting']
      : model.link === 'refused'
        ? ['bad', 'No access']
        : ['bad', 'Not live'];
  return (
    <span class={`link ${kind}`} role="status">
      {text}
    </span>
  );
}

function Trouble({ model }: { model: Model }): JSX.Element | null {
  if (model.link === 'lost') {
    return (
      <div class="notice bad" role="alert">
        <b>The sidecar does not answer.</b> {asOf(model)} Trying again every second.
      </div>
    );
  }
  if (model.backend.reachable) return null;
  return (
    <div class="notice bad" role="alert">
      <b>The NATS server is out of reach.</b> {asOf(model)} Nothing can be granted until it is back; this page
      goes on by itself then.
      <small>{model.backend.reason}</small>
    </div>
  );
}

function asOf({ items, staleSince }: Model): string {
  if (items.size === 0 || staleSince === undefined) return '';
  return `This is how things were at ${new Date(staleSince).toLocaleTimeString()}.`;
}

interface FilterProps {
  readonly text: string;
  readonly show: Show;
  readonly shown: number;
  setText: (text: string) => void;
  setShow: (show: Show) => void;
}

function Filter({ text, setText, show, setShow, shown }: FilterProps): JSX.Element {
  return (
    <div class="filter">
      <input
        type="search"
        placeholder="Filter by name or holder"
        aria-label="Filter by name or holder"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <div class="choice" role="group" aria-label="Show">
        {(Object.keys(SHOW) as Show[]).map((each) => (
          <button key={each} aria-pressed={each === show} onClick={() => setShow(each)}>
            {SHOW[each]}
          </button>
        ))}
      </div>
      <span class="count">{plural(shown, 'shown', 'shown')}</span>
    </div>
  );
}

function Nothing(): JSX.Element {
  return (
    <div class="blank">
      <h2>No semaphores yet</h2>
      <p>As soon as somebody acquires one in this bucket it shows up here. For example:</p>
      <pre>
        {`curl -X POST ${location.origin}/v1/semaphores/reports/permits \\\n  -H 'content-type: application/json' -d '{"slots": 3}'`}
      </pre>
    </div>
  );
}

/** What is known, kept up to date. */
function useModel(): [Model, () => void] {
  const [model, setModel] = useState(EMPTY);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    takeTokenFromAddress();
    // The address of a new dashboard, put into this tab, only changes what is behind the `#`.
    const again = (): void => {
      if (takeTokenFromAddress()) setAttempt((n) => n + 1);
    };
    addEventListener('hashchange', again);
    const stop = follow('/v1/events', authorization, {
      event: (name, data) => setModel((before) => after(before, name, data)),
      lost: () => setModel((before) => withLink(before, 'lost')),
      refused: () => setModel((before) => withLink(before, 'refused')),
    });
    return () => {
      removeEventListener('hashchange', again);
      stop();
    };
  }, [attempt]);
  return [model, () => setAttempt((n) => n + 1)];
}

function after(model: Model, name: string, data: unknown): Model {
  if (name === 'snapshot') return withSnapshot(model, data as SnapshotEvent);
  if (name === 'change') return withChange(model, data as ChangeEvent);
  if (name === 'backend') return withBackend(model, data as BackendEvent);
  return model;
}

const fresh = ({ link, backend }: Model): boolean => link === 'live' && backend.reachable;

function matches({ status }: Item, text: string, show: Show): boolean {
  if (show === 'held' && (status.kind === 'latch' || status.holders.length === 0)) return false;
  if (show === 'waiting' && waitersOf(status) === 0) return false;
  if (text === '') return true;
  const wanted = text.toLowerCase();
  const holders =
    status.kind === 'latch' ? [] : [...status.holders, ...status.waiters].map(({ holder }) => holder);
  return [status.name, ...holders].some((each) => each.toLowerCase().includes(wanted));
}
