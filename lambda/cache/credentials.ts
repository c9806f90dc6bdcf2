import type { CacheConfig } from '../contract/config.ts';
import { type AwsCredentials, iamToken } from './iam-token.ts';
import type { Credentials } from './valkey.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What a new connection logs in with; absent for a cache that lets everyone in. */
export function credentialsFor(auth: CacheConfig['auth'], env: Environment): (() => Promise<Credentials>) | undefined {
  if (auth.type === 'none') return undefined;
  if (auth.type === 'secret') {
    return async () => {
      const [{ readSecret }, { secretField }] = await Promise.all([
        import('../secrets/secrets-manager.ts'),
        import('../secrets/secret-value.ts'),
      ]);
      // For each connection: a rotated secret is read with the next one.
      const password = secretField(await readSecret(auth.secretArn), auth.jsonField);
      return { ...(auth.username === undefined ? {} : { username: auth.username }), password };
    };
  }
  return async () => {
    const region = env.AWS_REGION ?? '';
    const isServerless = auth.nodeBased !== true;
    const options = { cacheName: auth.cacheName.toLowerCase(), userId: auth.userId, region, isServerless };
    return { username: auth.userId, password: iamToken(options, await awsCredentials(env)) };
  };
}

/** Lambda's, out of the environment; where functions get them by an address (Managed Instances may), from there. */
async function awsCredentials(env: Environment): Promise<AwsCredentials> {
  const url = env.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  if (url !== undefined) {
    const token = env.AWS_CONTAINER_AUTHORIZATION_TOKEN;
    const response = await fetch(url, { headers: token === undefined ? {} : { authorization: token } });
    if (!response.ok) throw new Error(`no AWS credentials: status ${response.status}`);
    const body = (await response.json()) as { AccessKeyId: string; SecretAccessKey: string; Token?: string };
    return {
      accessKeyId: body.AccessKeyId,
      secretAccessKey: body.SecretAccessKey,
      ...(body.Token === undefined ? {} : { sessionToken: body.Token }),
    };
  }
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: token } = env;
  if (!accessKeyId || !secretAccessKey) throw new Error('no AWS credentials in the environment');
  return { accessKeyId, secretAccessKey, ...(token ? { sessionToken: token } : {}) };
}
