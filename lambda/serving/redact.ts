/** What is longer is cut before it is searched: no backend needs that much to say what is wrong. */
const MAX_SEARCHED = 8_000;

/** In this order: what comes first may hold what comes later. Each begins where a word does: no text makes them slow. */
const SECRETIVE: ReadonlyArray<readonly [RegExp, string]> = [
  [/\b[a-z][a-z0-9+-]{0,20}:\/\/[^\s'"<>)]+/gi, '[url]'],
  [/\barn:aws[\w-]*:[^\s'"<>),]+/gi, '[arn]'],
  [/\bBearer\s+[^\s'",]+/gi, '[key]'],
  // Keys by their providers' marks, also when a provider has starred most of them out.
  [/\b(?:sk|pk|rk|hf|gsk|xai|nvapi|r8|ghp|key)[-_][\w*.-]{4,}/gi, '[key]'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{8,}|\bAIza[\w-]{10,}/g, '[key]'],
  [/(?<![\w.*-])[\w.-]*\*{3,}[\w.*-]*/g, '[key]'],
  // Long and with a digit: keys, hashes, ids. Parameters' names are words.
  [/(?<![\w-])(?=[\w-]*\d)[\w-]{24,}/g, '[key]'],
  [/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, '[address]'],
  [/\b(?:[0-9a-f]{1,4}:){3,7}:?[0-9a-f]{1,4}\b|(?<![0-9a-f:])\[?[0-9a-f:]*::[0-9a-f:]+\]?(?::\d+)?/gi, '[address]'],
  // A host with its port. Not a time.
  [/(?<![\w.:-])[a-z][\w.-]*:\d{2,5}\b/gi, '[address]'],
  [
    /(?<![\w.-])[\w-]+\.(?:[\w-]+\.)*(?:internal|local|localdomain|lan|corp|intranet|svc|amazonaws\.com|azure\.com)\b/gi,
    '[address]',
  ],
  // An AWS account.
  [/\b\d{12}\b/g, '[account]'],
];

/**
 * A backend's words without what is nobody's business: addresses and hosts, ARNs and accounts, keys. For clients, who
 * are told the words about their own mistakes, and for the log.
 */
export function redact(text: string, maxLength: number): string {
  let redacted = text.slice(0, MAX_SEARCHED);
  for (const [pattern, instead] of SECRETIVE) redacted = redacted.replace(pattern, instead);
  return redacted.slice(0, maxLength);
}
