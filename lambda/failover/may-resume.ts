import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { Session } from './session.ts';

/** Longer answers aren't kept in memory for the case that they break off. */
export const MAX_SENT_BYTES = 1024 * 1024;

/** Whether it makes sense to remember what of an answer was sent. */
export const mayResume = ({ options }: Session): boolean => options.policy.resume && isContinuable(options.request);

/** By which vLLM (now and formerly), SGLang and llama.cpp take grammars and the like beside `response_format`. */
const GRAMMARS = [
  'structured_outputs',
  'guided_json',
  'guided_regex',
  'guided_choice',
  'guided_grammar',
  'regex',
  'ebnf',
  'json_schema',
  'grammar',
];

/**
 * Whether an answer to this request could be continued by another model at all: one text, of which the client needs no
 * more than the text. A grammar, for JSON or else, begins anew with each request, and log probabilities have no seam.
 */
export function isContinuable(request: ChatCompletionRequest): boolean {
  const format = request.response_format?.type ?? 'text';
  const isFree = format === 'text' && GRAMMARS.every((name) => request[name] == null);
  return (request.n ?? 1) === 1 && request.logprobs !== true && isFree;
}
