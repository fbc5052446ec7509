/** Runs `check` until it passes, at most `ms`; then fails as it did last. */
export async function eventually(check: () => unknown, ms = 10_000): Promise<void> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
