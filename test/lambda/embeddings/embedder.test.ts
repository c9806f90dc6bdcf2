import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { EmbeddingConfig } from '../../../lambda/contract/config.ts';
import { createEmbedder } from '../../../lambda/embeddings/create-embedder.ts';
import { cosine } from '../../../lambda/embeddings/vector.ts';
import { type BedrockRuntime, type RuntimeRequest, startBedrockRuntime } from '../../../local/bedrock/index.ts';
import { createTextModel } from '../../../local/model/index.ts';
import { type RunningServer, startOpenAiServer } from '../../../local/model/openai-server.ts';

let bedrock: BedrockRuntime;
let server: RunningServer;
const requests: RuntimeRequest[] = [];
let fault: 'ThrottlingException' | undefined;

beforeAll(async () => {
  const model = await createTextModel();
  bedrock = await startBedrockRuntime({
    model,
    onRequest: (request) => requests.push(request),
    faults: () => (fault === undefined ? undefined : { type: 'error', name: fault }),
  });
  server = await startOpenAiServer({ model, apiKey: 'the-key' });
});
afterAll(async () => {
  await Promise.all([bedrock.close(), server.close()]);
});
beforeEach(() => {
  requests.length = 0;
  fault = undefined;
  vi.stubEnv('AWS_ENDPOINT_URL_BEDROCK_RUNTIME', bedrock.url);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'x');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
  vi.stubEnv('AWS_REGION', 'us-east-1');
});
afterEach(() => vi.unstubAllEnvs());

const onBedrock = (modelId: string, format: 'titan-1' | 'titan-2' | 'cohere', dimensions: number): EmbeddingConfig => ({
  ...{ kind: 'bedrock', id: 'e', price: 1 },
  ...{ modelId, format, dimensions },
});
const signal = () => AbortSignal.timeout(10_000);

describe('on Bedrock', () => {
  test.each([
    ['amazon.titan-embed-text-v2:0', 'titan-2', 256, { inputText: 'hello', dimensions: 256, normalize: true }],
    ['amazon.titan-embed-text-v1', 'titan-1', 1536, { inputText: 'hello' }],
    [
      'cohere.embed-english-v3',
      'cohere',
      1024,
      { texts: ['hello'], input_type: 'search_query', embedding_types: ['float'] },
    ],
  ] as const)('%s is asked as it wants', async (modelId, format, dimensions, body) => {
    const embedder = createEmbedder(onBedrock(modelId, format, dimensions));
    const { vector, tokens } = await embedder.embed('hello', signal());
    expect(vector).toHaveLength(dimensions);
    expect(cosine(vector, vector)).toBeCloseTo(1, 5);
    // Cohere's doesn't say.
    expect(tokens).toBe(format === 'cohere' ? undefined : 2);
    expect(requests).toMatchObject([{ modelId, operation: 'InvokeModel', body }]);
  });

  test('its errors are those of a backend', async () => {
    fault = 'ThrottlingException';
    const embedder = createEmbedder(onBedrock('amazon.titan-embed-text-v2:0', 'titan-2', 256));
    await expect(embedder.embed('hello', signal())).rejects.toMatchObject({ name: 'BackendError', kind: 'throttled' });
  });

  test('a vector of another size is refused', async () => {
    const embedder = createEmbedder(onBedrock('cohere.embed-english-v3', 'cohere', 512));
    await expect(embedder.embed('hello', signal())).rejects.toThrow('has 1024 dimensions, not 512');
  });
});

test('a server that wants a key and gets none refuses', async () => {
  const embedder = createEmbedder({
    ...{ kind: 'openai-compatible', id: 'e', price: 1, model: 'm', dimensions: 384, sendDimensions: false },
    ...{ baseUrl: `${server.url}/v1`, auth: { type: 'none' }, headers: {} },
  });
  await expect(embedder.embed('hello', signal())).rejects.toMatchObject({ name: 'BackendError', kind: 'auth' });
});

test('a server is asked for a number of dimensions where it can be', async () => {
  const embedder = createEmbedder({
    ...{ kind: 'openai-compatible', id: 'e', price: 1, model: 'm', dimensions: 99, sendDimensions: true },
    ...{ baseUrl: `${server.url}/v1`, auth: { type: 'none' }, headers: { authorization: 'Bearer the-key' } },
  });
  const { vector, tokens } = await embedder.embed('hello', signal());
  expect(vector).toHaveLength(99);
  expect(tokens).toBe(2);
});
