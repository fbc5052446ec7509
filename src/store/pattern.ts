/** Whether a key matches any of the patterns: dot-separated tokens in which `*` stands for one token and a final `>` for the rest. */
export function matcher(patterns: readonly string[]): (key: string) => boolean {
  const sources = patterns.map((pattern) => pattern.split('.').map(sourceOf).join('\\.'));
  const any = new RegExp(`^(?:${sources.join('|')})$`, 's');
  return (key) => any.test(key);
}

function sourceOf(token: string): string {
  if (token === '*') return '[^.]*';
  return token === '>' ? '.*' : token.replace(/[\\^$|?*+()[\]{}]/g, '\\$&');
}
