import { build } from 'esbuild';
import { NODE_BUNDLE } from '../../../scripts/build/bundle.ts';

/** Clients of the AWS SDK, and the prefix that IAM gives their actions. */
const PREFIXES: Readonly<Record<string, string>> = {
  'bedrock-runtime': 'bedrock',
  cloudwatch: 'cloudwatch',
  dynamodb: 'dynamodb',
  eventbridge: 'events',
  lambda: 'lambda',
  s3: 's3',
  'secrets-manager': 'secretsmanager',
  sns: 'sns',
  sqs: 'sqs',
};

/** Commands whose action has another name. https://docs.aws.amazon.com/service-authorization/latest/reference/ */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  'bedrock-runtime Converse': ['bedrock:InvokeModel'],
  'bedrock-runtime ConverseStream': ['bedrock:InvokeModelWithResponseStream'],
  // Parts of every client, for features that nothing here turns on: endpoint discovery, and directory buckets.
  'dynamodb DescribeEndpoints': [],
  's3 CreateSession': [],
  'dynamodb TransactGetItems': ['dynamodb:GetItem'],
  'lambda Invoke': ['lambda:InvokeFunction'],
  's3 CopyObject': ['s3:GetObject', 's3:PutObject'],
  's3 CreateMultipartUpload': ['s3:PutObject'],
  's3 CompleteMultipartUpload': ['s3:PutObject'],
  's3 UploadPart': ['s3:PutObject'],
  's3 HeadBucket': ['s3:ListBucket'],
  's3 HeadObject': ['s3:GetObject'],
  's3 ListObjectsV2': ['s3:ListBucket'],
  'sns PublishBatch': ['sns:Publish'],
  'sqs ChangeMessageVisibilityBatch': ['sqs:ChangeMessageVisibility'],
  'sqs DeleteMessageBatch': ['sqs:DeleteMessage'],
  'sqs SendMessageBatch': ['sqs:SendMessage'],
};

/**
 * The IAM actions that a handler's code can call: of each command of the AWS SDK that is left in its bundle, chunks that
 * load late included. A command that nothing uses isn't there, since the bundler leaves it out.
 */
export async function callableActions(entry: string): Promise<ReadonlySet<string>> {
  const { metafile } = await build({
    ...NODE_BUNDLE,
    entryPoints: { index: `lambda/${entry}/index.ts` },
    outdir: 'out',
    write: false,
  });
  const actions = new Set<string>();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const [, client, command] =
        /node_modules\/@aws-sdk\/client-([^/]+)\/.*\/commands\/(\w+)Command\.js$/.exec(file) ?? [];
      if (client === undefined || command === undefined || bytesInOutput === 0) continue;
      for (const action of actionsOf(client, command)) actions.add(action);
    }
  }
  return actions;
}

function actionsOf(client: string, command: string): readonly string[] {
  const other = OTHER_NAMES[`${client} ${command}`];
  if (other !== undefined) return other;
  const prefix = PREFIXES[client];
  if (prefix === undefined) throw new Error(`which prefix do IAM actions of @aws-sdk/client-${client} have? Add it`);
  return [`${prefix}:${command}`];
}
