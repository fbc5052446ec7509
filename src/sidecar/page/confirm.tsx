import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { forceRelease } from './api';
import type { Target } from './details';

/** Asks before a hold is taken away, and says how that went. */
export function Confirm({ target, done }: { target: Target; done: (message?: string) => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  useEffect(() => dialog.current?.showModal(), []);
  const release = async (): Promise<void> => {
    setBusy(true);
    setFailure('');
    try {
      const released = await forceRelease(target.status, target.permitId);
      done(released ? `Taken from ${target.holder}.` : 'It was not held any more.');
    } catch (error) {
      setBusy(false);
      setFailure((error as Error).message);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onCancel={() => done()} onClose={() => done()}>
      <h2 id="confirm-title">Release by force?</h2>
      <p>
        <b>{target.holder}</b> loses {target.what} of <b>{target.status.name}</b>. It is told so, but may
        still be at work when somebody else is granted the same.
      </p>
      {failure !== '' && (
        <p class="notice bad" role="alert">
          {failure}
        </p>
      )}
      <div class="buttons">
        <button onClick={() => done()}>Cancel</button>
        <button class="danger" disabled={busy} onClick={() => void release()}>
          {busy ? 'Releasing…' : 'Release by force'}
        </button>
      </div>
    </dialog>
  );
}
