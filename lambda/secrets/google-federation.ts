import { AwsClient, type AwsClientOptions } from 'google-auth-library';
import type { AccessToken, GoogleTokenOptions } from './access-token.ts';
import { SecretProblem } from './secret-value.ts';

/** Google's endpoints, in any universe and with its private access names. */
const GOOGLE = /^https:\/\/(sts|iamcredentials)(\.[a-z0-9-]+)*\.googleapis\.com\//;
/** A federated token lives an hour; the library says when it ends. */
const DEFAULT_VALID_MS = 3_600_000;

/**
 * Workload identity federation: AWS credentials of the function's role for a Google token, so that no key exists that
 * could leak. Google's library does it (a signed `GetCallerIdentity`, the token exchange, the impersonation); it loads
 * only here.
 */
export async function federatedToken(
  config: Record<string, unknown>,
  scope: string,
  options: GoogleTokenOptions,
): Promise<AccessToken> {
  check(config, options.allowLoopback);
  const client = new AwsClient(config as unknown as AwsClientOptions);
  client.scopes = [scope];
  const { token } = await client.getAccessToken();
  if (!token) throw new Error('Google gave no access token');
  const expiry = client.credentials.expiry_date;
  return { token, validMs: expiry ? expiry - options.now() : DEFAULT_VALID_MS };
}

/** A configuration can make the library read files, run programs and ask any address: only AWS's way is open. */
function check(config: Record<string, unknown>, allowLoopback: boolean): void {
  const source = (config.credential_source ?? {}) as Record<string, unknown>;
  if (typeof source.environment_id !== 'string' || !source.environment_id.startsWith('aws')) {
    throw new SecretProblem("has a credential_source that isn't AWS");
  }
  for (const field of ['token_url', 'service_account_impersonation_url']) {
    const url = config[field];
    if (url === undefined && field !== 'token_url') continue;
    const isLocal = allowLoopback && /^http:\/\/127\.0\.0\.1:/.test(String(url));
    if (!isLocal && !GOOGLE.test(String(url))) throw new SecretProblem(`has a ${field} that isn't Google's`);
  }
}
