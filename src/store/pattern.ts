/** Whether a key matches any of the patterns: dot-separated tokens in which `*` stands for one token and a final `>` for the rest. */
export function matcher(patterns: readonly string[]): (key: string) => boolean {
  const wanted = patterns.map((pattern) => pattern.split('.'));
  return (key) => {
    const tokens = key.split('.');
    return wanted.some((pattern) => fits(pattern, tokens));
  };
}

function fits(pattern: readonly string[], tokens: readonly string[]): boolean {
  for (const [i, token] of pattern.entries()) {
    if (token === '>') return tokens.length > i;
    if (i >= tokens.length || (token !== '*' && token !== tokens[i])) return false;
  }
  return tokens.length === pattern.length;
}
