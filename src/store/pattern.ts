/** Whether `key` matches a pattern of dot-separated tokens in which `*` stands for one token and a final `>` for the rest. */
export function matches(pattern: string, key: string): boolean {
  const wanted = pattern.split('.');
  const tokens = key.split('.');
  for (const [i, token] of wanted.entries()) {
    if (token === '>') return tokens.length > i;
    if (i >= tokens.length || (token !== '*' && token !== tokens[i])) return false;
  }
  return tokens.length === wanted.length;
}
