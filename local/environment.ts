/** Addresses of the services that run here. */
export interface ServiceUrls {
  readonly secretsManager: string;
  readonly bedrockRuntime: string;
  /** Absent when the templates have no table. */
  readonly dynamoDb?: string | undefined;
  /** SQS and S3. Absent when the templates have neither a queue nor a bucket. */
  readonly messaging?: string | undefined;
  readonly cloudWatch?: string | undefined;
  readonly sns?: string | undefined;
}

/**
 * What a function's process gets to reach AWS services. Nothing of the user's own: neither credentials nor profile.
 * Where the user's environment has an `AWS_ENDPOINT_URL…` (another emulator), that comes first.
 */
export function serviceVariables(
  urls: ServiceUrls,
  userEnvironment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const own = Object.entries(userEnvironment).filter(
    (entry): entry is [string, string] => /^AWS_ENDPOINT_URL(_|$)/.test(entry[0]) && entry[1] !== undefined,
  );
  return {
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    // A service without a stand-in refuses by name, instead of AWS refusing the credentials.
    AWS_ENDPOINT_URL: urls.secretsManager,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: urls.secretsManager,
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME: urls.bedrockRuntime,
    ...(urls.cloudWatch === undefined ? {} : { AWS_ENDPOINT_URL_CLOUDWATCH: urls.cloudWatch }),
    ...(urls.sns === undefined ? {} : { AWS_ENDPOINT_URL_SNS: urls.sns }),
    ...(urls.dynamoDb === undefined ? {} : { AWS_ENDPOINT_URL_DYNAMODB: urls.dynamoDb }),
    ...(urls.messaging === undefined ? {} : messagingVariables(urls.messaging)),
    ...Object.fromEntries(own),
  };
}

const messagingVariables = (url: string): Record<string, string> => ({
  AWS_ENDPOINT_URL_SQS: url,
  AWS_ENDPOINT_URL_S3: url,
  // Receivers of webhooks are programs on this machine.
  LLM_WEBHOOK_LOOPBACK: 'allow',
});

/** The user's AWS credentials and settings, for a run that is asked to reach the real services. */
export function realAwsVariables(
  userEnvironment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(userEnvironment).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        (entry[0] === 'HOME' || (entry[0].startsWith('AWS_') && !entry[0].startsWith('AWS_LAMBDA_'))),
    ),
  );
}
