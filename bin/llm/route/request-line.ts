import type { ChatCompletionRequest } from '../../../lambda/contract/openai.ts';
import { PRIORITIES, type Priority } from '../../../lambda/routing/decision.ts';
import { parseChatRequest } from '../../../lambda/serving/parse.ts';

/** A request out of a file, and what is known of it beside its body. */
export interface RecordedRequest {
  readonly id: string | undefined;
  readonly request: ChatCompletionRequest;
  readonly consumer: string | undefined;
  readonly tier: string | undefined;
  readonly feature: string | undefined;
  readonly priority: Priority | undefined;
  /** What the answer used, where the file says so. */
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
}

/** API Gateway lets no more in. */
const MAX_BYTES = 10 * 1024 * 1024;

/**
 * A line of the file: a request's body, or an object with it in `body` as in OpenAI's batch files, and beside it what
 * else is known.
 *
 * @throws Error that says what is wrong, without the line's content
 */
export function readRequestLine(line: string): RecordedRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error('not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a JSON object');
  const fields = value as Record<string, unknown>;
  const isEnvelope = 'body' in fields;
  const body = isEnvelope ? fields.body : fields;
  const request = parseChatRequest({ body: JSON.stringify(body) ?? '' }, MAX_BYTES);
  const around = isEnvelope ? fields : {};
  const usage = (around.usage ?? {}) as Record<string, unknown>;
  const priority = text(around, 'priority');
  if (priority !== undefined && !PRIORITIES.includes(priority as Priority)) {
    throw new Error(`priority must be one of ${PRIORITIES.join(', ')}`);
  }
  return {
    id: text(around, 'custom_id'),
    request,
    consumer: text(around, 'consumer'),
    tier: text(around, 'tier'),
    feature: request.metadata?.feature ?? text(around, 'feature'),
    priority: priority as Priority | undefined,
    promptTokens: count(usage, 'prompt_tokens'),
    completionTokens: count(usage, 'completion_tokens'),
  };
}

function text(fields: Record<string, unknown>, name: string): string | undefined {
  const value = fields[name] ?? undefined;
  if (value !== undefined && typeof value !== 'string') throw new Error(`${name} must be a string`);
  return value;
}

function count(usage: Record<string, unknown>, name: string): number | undefined {
  const value = usage[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new Error(`usage.${name} must be a whole number of at least 0`);
  }
  return value;
}
