import type { EmbeddingConfig } from '../contract/config.ts';

export interface Embedded {
  readonly vector: Float32Array;
  /** As they are billed; absent when the model didn't say. */
  readonly tokens?: number;
}

/** What turns a text into a vector. Texts of the same meaning have vectors with a high cosine, more or less. */
export interface Embedder {
  /** @throws BackendError */
  embed(text: string, signal: AbortSignal): Promise<Embedded>;
}

/** Its module, and with it an SDK, is loaded with the first text. */
export function createEmbedder(config: EmbeddingConfig): Embedder {
  let embedder: Promise<Embedder> | undefined;
  return {
    async embed(text, signal) {
      embedder ??= create(config);
      // A failure isn't kept: the next request tries again.
      embedder.catch(() => {
        embedder = undefined;
      });
      return (await embedder).embed(text, signal);
    },
  };
}

async function create(config: EmbeddingConfig): Promise<Embedder> {
  if (config.kind === 'bedrock') return (await import('./bedrock.ts')).createBedrockEmbedder(config);
  return (await import('./openai-compatible.ts')).createOpenAiCompatibleEmbedder(config);
}
