import type { Usage } from '../backends/backend.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';

/** English text in the tokenizers of today's models; other languages and code have fewer characters a token. */
const CHARACTERS_PER_TOKEN = 4;
/** OpenAI's figure for an image of low detail; what other providers charge differs by more than this can show. */
const TOKENS_PER_IMAGE = 85;
/** Role and separators. */
const TOKENS_PER_MESSAGE = 4;

/** What models are shown of a request beside its messages. */
const SHOWN = ['tools', 'functions', 'response_format', 'prediction'] as const;

/**
 * Tokens of a prompt, where no provider counted them: text by its length, tools and schemas by their JSON, images by a
 * flat sum.
 */
export function estimateInputTokens(request: ChatCompletionRequest): number {
  let characters = 0;
  let tokens = 0;
  for (const message of request.messages) {
    tokens += TOKENS_PER_MESSAGE;
    if (typeof message.content === 'string') characters += message.content.length;
    for (const part of Array.isArray(message.content) ? message.content : []) {
      if (typeof part.text === 'string') characters += part.text.length;
      else tokens += TOKENS_PER_IMAGE;
    }
    for (const call of message.tool_calls ?? []) characters += call.function?.arguments.length ?? 0;
  }
  for (const name of SHOWN) {
    const value = (request as unknown as Record<string, unknown>)[name];
    if (isShown(value)) characters += JSON.stringify(value).length;
  }
  return tokens + Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/** Not an empty list of tools, nor a format that has no schema. */
function isShown(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).some((name) => name !== 'type');
}

/**
 * Output tokens of a stream whose usage never came (it broke off, or the backend doesn't tell): one a frame at least,
 * more where frames are longer than the shortest one, whose size is taken for the envelope around the text.
 */
export class OutputEstimate {
  #frames = 0;
  #bytes = 0;
  #shortest = Number.POSITIVE_INFINITY;
  #text = 0;

  add(frameBytes: number): void {
    this.#frames += 1;
    this.#bytes += frameBytes;
    if (frameBytes < this.#shortest) this.#shortest = frameBytes;
  }

  /** For a whole answer. */
  addText(text: string): void {
    this.#text += text.length;
  }

  get tokens(): number {
    if (this.#text > 0) return Math.ceil(this.#text / CHARACTERS_PER_TOKEN);
    if (this.#frames === 0) return 0;
    return Math.max(this.#frames, Math.ceil((this.#bytes - this.#frames * this.#shortest) / CHARACTERS_PER_TOKEN));
  }
}

export const estimatedUsage = (request: ChatCompletionRequest, outputTokens: number): Usage => ({
  inputTokens: estimateInputTokens(request),
  outputTokens,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
});
