import type { BackendError } from '../backends/backend.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import { redact } from './redact.ts';

const MAX_REASON = 500;
/** A run of so many characters that stands in the prompt as well is a quotation. */
const QUOTED_CHARACTERS = 12;
/** Longer prompts aren't searched: no reason is worth that. */
const MAX_SEARCHED = 200_000;

/** Kinds after which a backend speaks of its account, its limits and its models. Of others it quotes what it choked on. */
const ABOUT_ITSELF: ReadonlySet<string> = new Set(['auth', 'not-found', 'throttled', 'overloaded']);

/**
 * What may be logged of a failure's message: our own words; a backend's own only where they say what an operator can
 * mend, and nothing of the prompt.
 *
 * @param logContent whether the owner wants prompts and answers in the log
 */
export function loggedReason(
  { kind, message, isQuoted }: BackendError,
  request: ChatCompletionRequest | undefined,
  logContent: boolean,
): string | undefined {
  const reason = redact(message, MAX_REASON);
  if (logContent) return reason;
  if (kind === 'invalid-request') return undefined;
  if (!isQuoted) return reason;
  return ABOUT_ITSELF.has(kind) && request !== undefined && !quotes(reason, request) ? reason : undefined;
}

const MAX_CODE = 100;

/** A code is a word. */
export const loggedCode = (code: string | null | undefined): string | undefined =>
  code != null && /^[\w.:-]+$/.test(code) ? redact(code, MAX_CODE) : undefined;

function quotes(reason: string, request: ChatCompletionRequest): boolean {
  const { messages, tools, functions, response_format: format, metadata, user } = request;
  const prompt = JSON.stringify([messages, tools, functions, format, metadata, user], withoutMedia);
  if (prompt.length > MAX_SEARCHED) return true;
  // As the prompt is written here: quotation marks and line ends are escaped.
  const words = JSON.stringify(reason).slice(1, -1);
  if (words.length <= QUOTED_CHARACTERS) return prompt.includes(words);
  for (let at = 0; at + QUOTED_CHARACTERS <= words.length; at += 1) {
    if (prompt.includes(words.slice(at, at + QUOTED_CHARACTERS))) return true;
  }
  return false;
}

const withoutMedia = (_: string, value: unknown): unknown =>
  typeof value === 'string' && value.startsWith('data:') ? '' : value;
