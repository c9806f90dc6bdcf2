import type { GenerateRequest, ModelMessage } from './text-model.ts';

/**
 * The simulated model's own tokenizer: words with their leading space, at most six characters a token; digits in
 * threes; runs of punctuation; white space. It gives about 1.3 tokens an English word, as BPE tokenizers of large
 * models do. What is streamed is cut at these tokens, so the counts in `usage` are exact for this model, though not
 * equal to any real model's.
 */
const TOKEN = /\p{N}{1,3}| ?\p{L}{1,6}| ?[^\s\p{L}\p{N}]{1,4}|\s+/gu;

export function tokenize(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

export function countTokens(text: string): number {
  let count = 0;
  for (const _ of text.matchAll(TOKEN)) count += 1;
  return count;
}

/** Role and separators of a chat template. */
const TOKENS_PER_MESSAGE = 4;
/** What a vision model takes for a picture of about a megapixel. */
const TOKENS_PER_IMAGE = 1_500;

export function countMessageTokens(message: ModelMessage): number {
  const calls = (message.toolCalls ?? []).reduce((sum, call) => sum + countTokens(call.name + call.arguments), 0);
  return TOKENS_PER_MESSAGE + countTokens(message.text) + calls + (message.images ?? []).length * TOKENS_PER_IMAGE;
}

export function countPromptTokens(request: GenerateRequest): number {
  const tools = request.tools.reduce((sum, tool) => sum + countTokens(JSON.stringify(tool)), 0);
  const schema = request.jsonSchema ? countTokens(JSON.stringify(request.jsonSchema)) : 0;
  return request.messages.reduce((sum, message) => sum + countMessageTokens(message), tools + schema);
}
