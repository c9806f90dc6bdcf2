import { createSimulatedModel } from './simulated.ts';
import type { TextModel } from './text-model.ts';

export { requireGguf } from './gguf-file.ts';
export { type OpenAiServerOptions, type RunningServer, startOpenAiServer } from './openai-server.ts';
export type * from './text-model.ts';
export { TextModelError } from './text-model.ts';

export interface TextModelOptions {
  /** Base URL of an OpenAI-compatible server (`http://127.0.0.1:11434/v1`): its models answer. */
  readonly upstream?: string;
  /** Sent to the upstream as `Authorization: Bearer`. @default - none */
  readonly upstreamApiKey?: string;
  /** The upstream's model. @default - the first that it lists */
  readonly upstreamModel?: string;
  /** Path of a GGUF file: llama.cpp answers, in this process. */
  readonly gguf?: string;
  /** Of the simulated model. @default 60 */
  readonly tokensPerSecond?: number;
  /** Of the simulated model. @default 250 */
  readonly timeToFirstTokenMs?: number;
  /** Of the simulated model: text answers have exactly this many tokens. @default - as long as they come */
  readonly answerTokens?: number;
}

/** A 70B-class model on one node: some 60 tokens a second and stream, the first after a quarter of a second. */
const DEFAULT_TOKENS_PER_SECOND = 60;
const DEFAULT_TIME_TO_FIRST_TOKEN_MS = 250;

/** The model behind the local run: an upstream server's, a GGUF file's, or a simulated one. */
export async function createTextModel(options: TextModelOptions = {}): Promise<TextModel> {
  if (options.upstream !== undefined && options.gguf !== undefined) {
    throw new Error('upstream and gguf are both set: choose one model');
  }
  if (options.upstream !== undefined) {
    const { createUpstreamModel } = await import('./upstream.ts');
    return createUpstreamModel({
      url: options.upstream,
      apiKey: options.upstreamApiKey,
      model: options.upstreamModel,
    });
  }
  if (options.gguf !== undefined) {
    const { createGgufModel } = await import('./gguf.ts');
    return createGgufModel(options.gguf);
  }
  return createSimulatedModel({
    tokensPerSecond: options.tokensPerSecond ?? DEFAULT_TOKENS_PER_SECOND,
    timeToFirstTokenMs: options.timeToFirstTokenMs ?? DEFAULT_TIME_TO_FIRST_TOKEN_MS,
    answerTokens: options.answerTokens,
  });
}
