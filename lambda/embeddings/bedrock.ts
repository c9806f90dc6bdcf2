import { InvokeModelCommand } from '@aws-sdk/client-bedrock-runtime';
import { BackendError } from '../backends/backend.ts';
import { sharedClient } from '../backends/bedrock/client.ts';
import { toBackendError } from '../backends/bedrock/errors.ts';
import type { EmbeddingConfig } from '../contract/config.ts';
import type { Embedder } from './embedder.ts';
import { toVector } from './vector.ts';

type BedrockEmbedding = Extract<EmbeddingConfig, { kind: 'bedrock' }>;

/** The caller's signal is shorter. */
const CONNECT_MS = 5000;

/** Amazon Titan's and Cohere's text embeddings, by InvokeModel. */
export function createBedrockEmbedder(config: BedrockEmbedding): Embedder {
  const client = sharedClient(config.region, CONNECT_MS);
  const { id, modelId, dimensions } = config;
  return {
    async embed(text, signal) {
      try {
        const command = new InvokeModelCommand({
          ...{ modelId, contentType: 'application/json', accept: 'application/json' },
          body: Buffer.from(JSON.stringify(question(config, text))),
        });
        const { body } = await client.call((runtime) => runtime.send(command, { abortSignal: signal }));
        const answer = JSON.parse(Buffer.from(body).toString()) as Answer;
        // Cohere's doesn't say.
        const tokens = answer.inputTextTokenCount;
        return { vector: toVector(id, vectorOf(answer), dimensions), ...(tokens === undefined ? {} : { tokens }) };
      } catch (error) {
        if (error instanceof SyntaxError) {
          throw new BackendError(id, 'protocol', 'the answer is not JSON', { cause: error });
        }
        throw toBackendError(id, error);
      }
    },
  };
}

/** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html and …/model-parameters-titan-embed-text.html */
function question({ format, dimensions }: BedrockEmbedding, text: string): object {
  if (format === 'titan-1') return { inputText: text };
  if (format === 'titan-2') return { inputText: text, dimensions, normalize: true };
  // Both sides of a comparison are questions.
  return { texts: [text], input_type: 'search_query', embedding_types: ['float'] };
}

interface Answer {
  readonly embedding?: unknown;
  readonly inputTextTokenCount?: number;
  /** Cohere's: by type where types were asked for, a plain list from older ones. */
  readonly embeddings?: { readonly float?: readonly unknown[] } | readonly unknown[];
}

function vectorOf({ embedding, embeddings }: Answer): unknown {
  if (embedding !== undefined) return embedding;
  return Array.isArray(embeddings)
    ? embeddings[0]
    : (embeddings as { float?: readonly unknown[] } | undefined)?.float?.[0];
}
