import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

/** What the ledger needs of the SDK, in a chunk of its own. */
export {
  ConditionalCheckFailedException,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb';
export { DirectUpdates } from './direct-update.ts';

export function createClient(timeoutMs: number): DynamoDBClient {
  return new DynamoDBClient({
    // Whether a repetition is safe depends on the write: the ledger repeats by itself.
    maxAttempts: 1,
    customUserAgent: 'cdk-llm-serving',
    requestHandler: { connectionTimeout: timeoutMs, requestTimeout: timeoutMs, throwOnRequestTimeout: true },
  });
}
