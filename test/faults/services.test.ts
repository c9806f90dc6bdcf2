import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BackendConfig } from '../../lib/private/serving-config.ts';
import {
  type BedrockRuntime,
  type Fault,
  type StreamException,
  startBedrockRuntime,
} from '../../local/bedrock/index.ts';
import { createTextModel } from '../../local/model/index.ts';
import { model, openAiBackend, PRICE, servingConfig } from '../lambda/support/serving.ts';
import { Upstream } from '../lambda/support/upstream.ts';
import { HEALTHY_TEXT, healthy } from './catalog.ts';
import { ask, billed } from './drive.ts';
import { startGateway } from './gateway.ts';

let runtime: BedrockRuntime;
let second: Upstream;
let fault: Fault | undefined;
const ENV = ['AWS_ENDPOINT_URL_BEDROCK_RUNTIME', 'AWS_ENDPOINT_URL_SECRETS_MANAGER'] as const;

beforeAll(async () => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'us-east-1' });
  const text = await createTextModel({ tokensPerSecond: 2000, timeToFirstTokenMs: 1 });
  runtime = await startBedrockRuntime({ model: text, faults: () => fault });
  process.env.AWS_ENDPOINT_URL_BEDROCK_RUNTIME = runtime.url;
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = 'http://127.0.0.1:9';
  second = await Upstream.start(healthy);
  // The SDK loads with the first call, which may take longer than the headers wait for a backend.
  await import('../../lambda/backends/bedrock/converse.ts');
});
afterAll(async () => {
  for (const name of ENV) delete process.env[name];
  await Promise.all([runtime.close(), second.stop()]);
});
beforeEach(() => {
  fault = undefined;
});

const DEADLINES = { connectMs: 500, firstTokenMs: 2000, betweenTokensMs: 500 };
const bedrock = (): BackendConfig => ({
  id: 'bedrock',
  kind: 'bedrock',
  modelId: 'amazon.nova-lite-v1:0',
  price: PRICE,
  deadlines: DEADLINES,
  promptCaching: false,
  jsonSchema: 'tool',
  images: true,
  tools: true,
});
const good = () => openAiBackend(second.url, { id: 'second', deadlines: DEADLINES });

const EXCEPTIONS: readonly StreamException[] = [
  'internalServerException',
  'modelStreamErrorException',
  'serviceUnavailableException',
  'throttlingException',
];

describe.each(EXCEPTIONS)('a Bedrock stream with %s', (name) => {
  test('before its first token goes to the next backend', async () => {
    fault = { type: 'exception', name, afterEvents: 1 };
    const gateway = await startGateway(servingConfig([model([bedrock(), good()])]));
    expect(await ask(gateway, true)).toMatchObject({ text: HEALTHY_TEXT, backend: 'second', error: undefined });
    await gateway.close();
  });

  test('in its middle is resumed on the next one, and ends with an error alone', async () => {
    fault = { type: 'exception', name, afterEvents: 6 };
    const gateway = await startGateway(servingConfig([model([bedrock(), good()])]));
    const resumed = await ask(gateway, true);
    expect(resumed.error).toBeUndefined();
    expect(resumed.text.length).toBeGreaterThan(HEALTHY_TEXT.length);
    expect(resumed.text.endsWith(HEALTHY_TEXT)).toBe(true);
    expect(billed(gateway.log, 'OutputTokens', 'second')).toBe(HEALTHY_TEXT.split(' ').length);
    await gateway.close();
    const alone = await startGateway(servingConfig([model([bedrock()])]));
    expect((await ask(alone, true)).error).toBe('APIError');
    await alone.close();
  });
});

test("a Bedrock stream's validationException is the client's fault", async () => {
  fault = { type: 'exception', name: 'validationException', afterEvents: 1 };
  const gateway = await startGateway(servingConfig([model([bedrock(), good()])]));
  expect((await ask(gateway, true)).error).toBe('400 BadRequestError');
  await gateway.close();
});

test.each([true, false])('with Secrets Manager down the next backend answers (streamed: %s)', async (stream) => {
  const keyed = openAiBackend(second.url, {
    id: 'keyed',
    deadlines: DEADLINES,
    auth: { type: 'secret', secretArn: { env: 'KEY' } },
  });
  const gateway = await startGateway(servingConfig([model([keyed, good()])]), {
    KEY: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf',
  });
  expect(await ask(gateway, stream)).toMatchObject({ text: HEALTHY_TEXT, backend: 'second' });
  await gateway.close();
});
