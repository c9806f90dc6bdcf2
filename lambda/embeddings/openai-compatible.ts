import { BackendError } from '../backends/backend.ts';
import { createHttpClient, type HttpResponse, readBody } from '../backends/openai-compatible/http.ts';
import { errorFromResponse, tryParse } from '../backends/openai-compatible/upstream-error.ts';
import type { EmbeddingConfig } from '../contract/config.ts';
import type { Embedded, Embedder } from './embedder.ts';
import { toVector } from './vector.ts';

/** The largest vectors that ElastiCache takes, as text. */
const MAX_BYTES = 4 * 1024 * 1024;
/** The caller's signal is shorter. */
const CONNECT_MS = 5000;

/** A server with OpenAI's `POST /embeddings`: OpenAI, vLLM, TEI, llama.cpp, … */
export async function createOpenAiCompatibleEmbedder(
  config: Extract<EmbeddingConfig, { kind: 'openai-compatible' }>,
): Promise<Embedder> {
  const { id, auth, dimensions } = config;
  const url = new URL(`${config.baseUrl}/embeddings`);
  const http = await createHttpClient(url);
  const credentials =
    auth.type === 'none'
      ? undefined
      : (await import('../secrets/credentials.ts')).createCredentials(auth, { backend: id });

  async function post(text: string, signal: AbortSignal, isRetry = false): Promise<HttpResponse> {
    const body = {
      model: config.model,
      input: text,
      encoding_format: 'float',
      ...(config.sendDimensions ? { dimensions } : {}),
    };
    const response = await http.post({
      backend: id,
      url,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'accept-encoding': 'identity',
        'user-agent': 'cdk-llm-serving',
        ...config.headers,
        ...(await credentials?.headers(signal)),
      },
      body: Buffer.from(JSON.stringify(body)),
      connectMs: CONNECT_MS,
      headersMs: undefined,
      onSent: undefined,
      signal,
    });
    if (response.status === 200) return response;
    const said = await readBody(id, response, MAX_BYTES, signal);
    if (response.status === 401 && credentials !== undefined && !isRetry) {
      credentials.invalidate();
      return post(text, signal, true);
    }
    throw errorFromResponse(id, response.status, said.toString(), response.headers);
  }

  return {
    async embed(text, signal): Promise<Embedded> {
      const response = await post(text, signal);
      const answer = tryParse((await readBody(id, response, MAX_BYTES, signal)).toString()) as Answer | undefined;
      if (answer === undefined) throw new BackendError(id, 'protocol', 'the answer is not JSON');
      const tokens = answer?.usage?.prompt_tokens ?? answer?.usage?.total_tokens;
      return {
        vector: toVector(id, answer?.data?.[0]?.embedding, dimensions),
        ...(typeof tokens === 'number' ? { tokens } : {}),
      };
    },
  };
}

type Answer = {
  readonly data?: ReadonlyArray<{ readonly embedding?: unknown }>;
  readonly usage?: { readonly prompt_tokens?: number; readonly total_tokens?: number };
} | null;
