import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { authorization, keepToken } from './api';

/** For sidecars that want a token. */
export function TokenForm({ given }: { given: () => void }): JSX.Element {
  const [token, setToken] = useState('');
  const wrong = authorization().authorization !== undefined;
  return (
    <form
      class="blank"
      onSubmit={(event) => {
        event.preventDefault();
        keepToken(token.trim());
        given();
      }}
    >
      <h2>This sidecar asks for a token</h2>
      <p>{wrong ? 'The one given is not the right one.' : 'It is the one the sidecar was started with.'}</p>
      <label>
        Token
        <input
          type="password"
          autocomplete="off"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      <button class="primary" disabled={token.trim() === ''}>
        Show
      </button>
    </form>
  );
}
