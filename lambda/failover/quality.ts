import type { QualityConfig } from '../../lib/private/serving-config.ts';
import { BackendError } from '../backends/backend.ts';
import type { BackendConfig } from '../contract/config.ts';
import type { ChatCompletion, ChatCompletionRequest } from '../contract/openai.ts';
import { matchesPattern } from '../contract/patterns.ts';
import { endsInLoop } from './repetition.ts';

/** An answer that the policy doesn't take while another backend may do better; kept, for it is better than none. */
export class LowQuality extends BackendError {
  readonly answer: unknown;

  constructor(backend: string, problem: string, answer: unknown) {
    super(backend, 'low-quality', problem);
    this.answer = answer;
  }
}

type Choice = ChatCompletion['choices'][number];

/** What is wrong with a whole answer; `undefined` when nothing is. Never a word of the answer itself. */
export async function problemOf(
  completion: ChatCompletion,
  request: ChatCompletionRequest,
  config: BackendConfig,
  quality: QualityConfig,
): Promise<string | undefined> {
  for (const choice of completion.choices) {
    const problem = problemOfChoice(choice, request, config, quality);
    if (problem !== undefined) return problem;
  }
  const { response_format: format } = request;
  if (!quality.schemaViolation || format?.type !== 'json_schema' || format.json_schema.schema === undefined)
    return undefined;
  const { violatesSchema } = await import('./json-schema.ts');
  const { schema } = format.json_schema;
  return completion.choices.some((choice) => isFinishedText(choice) && violatesSchema(parse(textOf(choice)), schema))
    ? "it doesn't keep the JSON schema that was asked for"
    : undefined;
}

const textOf = ({ message }: Choice): string => message.content ?? '';

/** A refusal, a call of a tool, and what a limit or a filter has cut are no answers by the schema. */
const isFinishedText = ({ message, finish_reason: reason }: Choice): boolean =>
  reason !== 'length' &&
  reason !== 'content_filter' &&
  !message.tool_calls?.length &&
  !isRefusal(message) &&
  parse(message.content ?? '') !== undefined;

function problemOfChoice(
  { message, finish_reason: finishReason }: Choice,
  request: ChatCompletionRequest,
  config: BackendConfig,
  quality: QualityConfig,
): string | undefined {
  const text = message.content ?? '';
  const calls = message.tool_calls ?? [];
  if (quality.contentFilter && isForeignFilter(finishReason, config)) return 'it was stopped by a content filter';
  // A limit that the client set itself is no fault of the backend; the rest would be judged by a piece of the answer.
  if (finishReason === 'length') {
    const isClients = (request.max_completion_tokens ?? request.max_tokens) != null;
    return quality.truncation && !isClients ? 'it was cut off at the limit of tokens' : loop(text, quality);
  }
  if (isRefusal(message)) return undefined;
  const isEmpty = text.trim() === '' && calls.length === 0 && message.function_call == null && message.audio == null;
  if (quality.empty && finishReason !== 'content_filter' && isEmpty) return 'it is empty';
  if (quality.invalidToolArguments && !calls.every((call) => isJson(call.function?.arguments))) {
    return "a tool call's arguments are not valid JSON";
  }
  if (quality.invalidJson && calls.length === 0 && wantsJson(request) && !isAskedJson(text, request)) {
    return 'it is not the JSON that was asked for';
  }
  return matches(text, quality) ? 'it matches a pattern of the policy' : loop(text, quality);
}

const loop = (text: string, quality: QualityConfig): string | undefined =>
  quality.repetition && endsInLoop(text) ? 'it repeats itself without end' : undefined;

/** The operator's own guardrail has decided: another backend mustn't be a way around it. */
export const isForeignFilter = (finishReason: string | null | undefined, config: BackendConfig): boolean =>
  finishReason === 'content_filter' && !(config.kind === 'bedrock' && config.guardrail !== undefined);

export function matches(text: string, quality: QualityConfig): boolean {
  return quality.patterns.length > 0 && quality.patterns.some((pattern) => matchesPattern(pattern, text));
}

const wantsJson = ({ response_format: format }: ChatCompletionRequest): boolean =>
  format?.type === 'json_object' || format?.type === 'json_schema';

/** Parsable, and an object where one was asked for. */
function isAskedJson(text: string, { response_format: format }: ChatCompletionRequest): boolean {
  const parsed = parse(text);
  const type = format?.type === 'json_schema' ? format.json_schema.schema?.type : 'object';
  if (type !== 'object') return parsed !== undefined;
  return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
}

const isJson = (text: string | undefined): boolean => text !== undefined && parse(text) !== undefined;

/** A structured refusal is an answer. */
const isRefusal = (message: Choice['message']): boolean =>
  typeof message.refusal === 'string' && message.refusal !== '';

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
