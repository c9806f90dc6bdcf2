import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

/** A secret is read on a request's way: what takes longer is down. */
const TIMEOUT_MS = 3_000;
const MAX_ATTEMPTS = 3;

const clients = new Map<string, SecretsManagerClient>();

/** The secret's current string. A secret may live in another region than the function: its ARN says which. */
export async function readSecret(arn: string): Promise<string> {
  const region = /^arn:[^:]+:secretsmanager:([^:]+):/.exec(arn)?.[1];
  const client = clients.get(region ?? '') ?? createClient(region);
  clients.set(region ?? '', client);
  const { SecretString, SecretBinary } = await client.send(new GetSecretValueCommand({ SecretId: arn }));
  if (SecretString !== undefined) return SecretString;
  if (SecretBinary !== undefined) return Buffer.from(SecretBinary).toString('utf8');
  throw new Error('the secret has no value');
}

function createClient(region: string | undefined): SecretsManagerClient {
  return new SecretsManagerClient({
    ...(region !== undefined && { region }),
    maxAttempts: MAX_ATTEMPTS,
    customUserAgent: 'cdk-llm-serving',
    requestHandler: { connectionTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS, throwOnRequestTimeout: true },
  });
}

/** Secrets Manager's errors that a repetition doesn't change: the secret is gone, or may not be read. */
const LASTING = new Set([
  'AccessDeniedException',
  'DecryptionFailure',
  'InvalidParameterException',
  'InvalidRequestException',
  'ResourceNotFoundException',
]);

export const isTransient = (error: unknown): boolean => !(error instanceof Error && LASTING.has(error.name));
