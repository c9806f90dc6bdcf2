/** API reference, Converse: `requestMetadata` has at most 16 entries of 256 characters, and of these characters. */
const MAX_ENTRIES = 16;
const MAX_LENGTH = 256;
const FORBIDDEN = /[^a-zA-Z0-9\s._:/=+$@-]/g;

/** Who asks, for Bedrock's invocation logs. What doesn't fit is replaced or cut: a label must not fail a request. */
export function toRequestMetadata(
  attribution: Readonly<Record<string, string>>,
  requestId: string,
): Record<string, string> {
  const entries = Object.entries({ requestId, ...attribution })
    .map(([key, value]) => [fit(key), fit(value)] as const)
    .filter(([key, value]) => key !== '' && value !== '');
  return Object.fromEntries(entries.slice(0, MAX_ENTRIES));
}

const fit = (text: string): string => text.replace(FORBIDDEN, '_').slice(0, MAX_LENGTH);
