import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Stack } from '../../../local/cloudformation/stack.ts';
import { readGivenValues } from '../../../local/secrets/given-values.ts';
import { SecretStore } from '../../../local/secrets/secret-store.ts';
import { type SecretsManager, startSecretsManager } from '../../../local/secrets/secrets-manager.ts';
import { temporaryFolder } from '../support/assembly.ts';

const TYPE = 'AWS::SecretsManager::Secret';
const stack = new Stack({
  name: 'S',
  region: 'eu-west-1',
  account: '111122223333',
  assets: new Map(),
  template: {
    Resources: {
      Fixed: { Type: TYPE, Properties: { Name: 'fixed', SecretString: 'value' } },
      Generated: { Type: TYPE, Properties: { GenerateSecretString: {} } },
      Long: {
        Type: TYPE,
        Properties: { GenerateSecretString: { PasswordLength: 64, ExcludeCharacters: 'abcABC012' } },
      },
      Templated: {
        Type: TYPE,
        Properties: { GenerateSecretString: { SecretStringTemplate: '{"user":"me"}', GenerateStringKey: 'password' } },
      },
      Empty: { Type: TYPE, Properties: { Name: 'empty' } },
      Overridden: { Type: TYPE, Properties: { Name: 'overridden', SecretString: 'template' } },
    },
  },
});
const settings = {
  seed: Buffer.alloc(32, 7),
  account: '111122223333',
  region: 'eu-west-1',
  values: { overridden: 'mine', 'imported/key': '{"key":"k"}' },
};
const store = new SecretStore([stack], settings);
const arnOf = (logicalId: string): string =>
  stack.resources.find((resource) => resource.logicalId === logicalId)?.ref ?? '';

let service: SecretsManager;
let client: SecretsManagerClient;
beforeAll(async () => {
  service = await startSecretsManager(store);
  client = new SecretsManagerClient({
    region: 'eu-west-1',
    endpoint: service.url,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
  });
});
afterAll(async () => {
  client.destroy();
  await service.close();
});

const value = async (SecretId: string) => (await client.send(new GetSecretValueCommand({ SecretId }))).SecretString;

describe("AWS's own client gets", () => {
  test('a value by name, by ARN, and by ARN without its suffix', async () => {
    expect(await value('fixed')).toBe('value');
    expect(await value(arnOf('Fixed'))).toBe('value');
    expect(await value(arnOf('Fixed').replace(/-[^-]{6}$/, ''))).toBe('value');
    expect(await value('arn:aws:secretsmanager:eu-west-1:111122223333:secret:imported/key')).toBe('{"key":"k"}');
  });

  test("a generated value that is the same with the same seed, of the template's length and characters", async () => {
    const generated = await value(arnOf('Generated'));
    expect(generated).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(new SecretStore([stack], settings).find(arnOf('Generated'))?.value).toBe(generated);
    const other = new SecretStore([stack], { ...settings, seed: Buffer.alloc(32, 8) });
    expect(other.find(arnOf('Generated'))?.value).not.toBe(generated);
    expect(await value(arnOf('Long'))).toMatch(/^[D-Zd-z3-9]{64}$/);
    expect(JSON.parse((await value(arnOf('Templated'))) ?? '')).toEqual({
      user: 'me',
      password: expect.stringMatching(/^[A-Za-z0-9]{32}$/),
    });
  });

  test("the user's value in place of the template's", async () => {
    expect(await value('overridden')).toBe('mine');
  });

  test.each(['nobody', 'empty'])('ResourceNotFoundException for %s', async (id) => {
    await expect(value(id)).rejects.toBeInstanceOf(ResourceNotFoundException);
  });

  test('ResourceNotFoundException for another version than the current', async () => {
    const command = new GetSecretValueCommand({ SecretId: 'fixed', VersionStage: 'AWSPREVIOUS' });
    await expect(client.send(command)).rejects.toBeInstanceOf(ResourceNotFoundException);
  });

  test('a description', async () => {
    expect(await client.send(new DescribeSecretCommand({ SecretId: 'fixed' }))).toMatchObject({
      Name: 'fixed',
      ARN: arnOf('Fixed'),
    });
  });

  test('a refusal by name for what is not stood in for', async () => {
    await expect(client.send(new ListSecretsCommand({}))).rejects.toThrow();
    const response = await fetch(service.url, {
      method: 'POST',
      headers: { 'x-amz-target': 'DynamoDB_20120810.PutItem' },
      body: '{}',
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('no stand-in for DynamoDB_20120810.PutItem');
  });
});

test('an environment variable gives a secret its value, whether the template has it or not', () => {
  const outside = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/Provider-Key';
  const environment = { SECRET_FIXED: 'from env', SECRET_TEAM_PROVIDER_KEY: 'sk', SECRET_IMPORTED_KEY: 'new' };
  const given = new SecretStore([stack], { ...settings, environment, referred: [outside] });
  expect(given.find('fixed')?.value).toBe('from env');
  expect(given.find(outside)?.value).toBe('sk');
  expect(given.find('imported/key')?.value).toBe('new');
  expect(given.find('overridden')?.value).toBe('mine');
});

test.each([
  ['secretsmanager:fixed:SecretString', 'value'],
  ['secretsmanager:fixed', 'value'],
  ['secretsmanager:imported/key:SecretString:key', 'k'],
  ['secretsmanager:imported/key:SecretString:key::', 'k'],
  ['secretsmanager:imported/key:SecretString:none', undefined],
  ['secretsmanager:nobody:SecretString', undefined],
  ['ssm:/a', undefined],
])('the dynamic reference %s is %s', (reference, expected) => {
  expect(store.resolve(reference)).toBe(expected);
});

test('a dynamic reference by ARN', () => {
  expect(store.resolve(`secretsmanager:${arnOf('Fixed')}:SecretString:::`)).toBe('value');
});

describe("the user's file", () => {
  const file = (text: string): string => {
    const path = join(temporaryFolder(), 'secrets.json');
    writeFileSync(path, text);
    return path;
  };

  test('holds values by name; one that is an object is kept as JSON', () => {
    expect(readGivenValues(file('{"a":"b","c":{"d":1}}'))).toEqual({ a: 'b', c: '{"d":1}' });
  });

  test('may be absent', () => {
    expect(readGivenValues(join(temporaryFolder(), 'none.json'))).toEqual({});
  });

  test.each(['{"key":"sk-secret"', '["sk-secret"]'])(
    'that is damaged is refused without telling what is in it',
    (text) => {
      expect(() => readGivenValues(file(text))).toThrow(/secrets\.json/);
      expect(() => readGivenValues(file(text))).not.toThrow(/sk-secret/);
    },
  );
});
