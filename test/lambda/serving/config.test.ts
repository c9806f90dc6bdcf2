import { describe, expect, test } from 'vitest';
import { CONSUMERS_ENV, loadConfig, SERVING_CONFIG_FILE } from '../../../lambda/contract/config.ts';
import * as contract from '../../../lib/private/serving-config.ts';
import { model, openAiBackend, servingConfig, staticBackend } from '../support/serving.ts';

const load = (config: object, env: Record<string, string> = {}) => loadConfig(JSON.stringify(config), env);

test("the handler's names are the contract's", () => {
  expect(SERVING_CONFIG_FILE).toBe(contract.SERVING_CONFIG_FILE);
  expect(CONSUMERS_ENV).toBe(contract.CONSUMERS_ENV);
});

describe('references to the environment', () => {
  const auth = { type: 'secret', secretArn: { env: 'SECRET' } };
  const config = servingConfig([
    model([openAiBackend('', { baseUrl: { env: 'URL' }, auth, headers: { env: 'prod' } })]),
  ]);

  test("are replaced, but not in the names that are the user's own", () => {
    const [backend] = load(config, { URL: 'http://x/v1', SECRET: 'arn:1' }).models[0]?.backends ?? [];
    expect(backend).toMatchObject({ baseUrl: 'http://x/v1', auth: { secretArn: 'arn:1' }, headers: { env: 'prod' } });
  });

  test('to a variable that is missing name it', () => {
    expect(() => load(config, { URL: 'http://x' })).toThrow('environment variable SECRET is missing');
  });
});

describe('consumers', () => {
  const config = servingConfig([model([staticBackend()])], { tiers: [{ name: 'free' }, { name: 'gold' }] });

  test('are known by their key id', () => {
    const { consumers } = load(config, { LLM_CONSUMERS: 'k1=app:free, k2=web:gold,' });
    expect(consumers.get('k1')).toMatchObject({ name: 'app', tier: { name: 'free' } });
    expect(consumers.get('k2')).toMatchObject({ name: 'web', tier: { name: 'gold' } });
  });

  test.each([
    ['k1', "an entry 'k1'"],
    ['k1=app', "an entry 'k1=app'"],
    ['k1=app:silver', "tier 'silver', which isn't declared"],
  ])('%s is an error', (text, message) => {
    expect(() => load(config, { LLM_CONSUMERS: text })).toThrow(message);
  });
});

test('a model is found by its aliases', () => {
  const config = load(servingConfig([model([staticBackend()], { aliases: ['gpt-4o'] })]));
  expect(config.modelByName.get('gpt-4o')?.name).toBe('chat');
});

test('another version is refused', () => {
  expect(() => load({ ...servingConfig([model([staticBackend()])]), version: 2 })).toThrow('version 2');
});
