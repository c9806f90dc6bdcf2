/** Longer than any client waits. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * How long a response asks to be left alone: `retry-after-ms`, which OpenAI sends, or `retry-after`, in seconds or as a
 * date. One that has passed already, or is no time at all, asks for nothing.
 */
export function retryAfter(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): number | undefined {
  const ms = numberIn(headers['retry-after-ms']);
  const after = headers['retry-after'];
  const seconds = numberIn(after);
  const asked = ms ?? (seconds === undefined ? untilDate(after) : seconds * 1000);
  return asked === undefined ? undefined : Math.min(Math.max(asked, 0), MAX_RETRY_AFTER_MS);
}

function numberIn(header: string | readonly string[] | undefined): number | undefined {
  const number = typeof header === 'string' && header.trim() !== '' ? Number(header) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

function untilDate(header: string | readonly string[] | undefined): number | undefined {
  const at = typeof header === 'string' ? Date.parse(header) : Number.NaN;
  return Number.isNaN(at) ? undefined : at - Date.now();
}
