import { expect, test } from 'vitest';
import { realAwsVariables, serviceVariables } from '../../local/environment.ts';

const urls = { secretsManager: 'http://127.0.0.1:1', bedrockRuntime: 'http://127.0.0.1:2' };
const user = {
  HOME: '/home/me',
  AWS_PROFILE: 'production',
  AWS_SECRET_ACCESS_KEY: 'real',
  AWS_LAMBDA_FUNCTION_NAME: 'other',
  OPENAI_API_KEY: 'sk',
};

test("functions reach what runs here, with credentials that are no one's", () => {
  expect(serviceVariables(urls, user)).toEqual({
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:1',
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME: 'http://127.0.0.1:2',
  });
});

test('functions reach DynamoDB where the templates have a table', () => {
  expect(serviceVariables({ ...urls, dynamoDb: 'http://127.0.0.1:3' }, user)).toMatchObject({
    AWS_ENDPOINT_URL_DYNAMODB: 'http://127.0.0.1:3',
  });
});

test("an endpoint of the user's own comes first", () => {
  const variables = serviceVariables(urls, { ...user, AWS_ENDPOINT_URL_BEDROCK_RUNTIME: 'http://emulator' });
  expect(variables).toMatchObject({
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME: 'http://emulator',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:1',
  });
});

test("when asked, functions get the user's AWS settings and nothing else of theirs", () => {
  expect(realAwsVariables(user)).toEqual({
    HOME: '/home/me',
    AWS_PROFILE: 'production',
    AWS_SECRET_ACCESS_KEY: 'real',
  });
});
