import { type AttributeValue, ScanCommand } from '@aws-sdk/client-dynamodb';
import { unmarshalled } from '../../../lambda/job/aws/expression.ts';
import type { ItemTable } from '../../../lambda/job/aws/table.ts';
import { asJob, type Job } from '../../../lambda/job/job.ts';

/** All jobs that fit, the newest first. Reads the whole table: for people, not for programs. */
export async function findJobs(
  items: ItemTable,
  filter: { readonly consumer?: string; readonly status?: string },
): Promise<Job[]> {
  const found: Job[] = [];
  const wanted = { sk: 'job', ...filter };
  const names = Object.keys(wanted);
  let start: Record<string, AttributeValue> | undefined;
  do {
    const { Items = [], LastEvaluatedKey } = await items.client.send(
      new ScanCommand({
        TableName: items.name,
        FilterExpression: names.map((_, index) => `#${index} = :${index}`).join(' AND '),
        ExpressionAttributeNames: Object.fromEntries(names.map((name, index) => [`#${index}`, name])),
        ExpressionAttributeValues: Object.fromEntries(
          Object.values(wanted).map((value, index) => [`:${index}`, { S: value }]),
        ),
        ...(start === undefined ? {} : { ExclusiveStartKey: start }),
      }),
    );
    found.push(...Items.map(unmarshalled).map(asJob));
    start = LastEvaluatedKey;
  } while (start !== undefined);
  return found.sort((a, b) => b.createdAt - a.createdAt);
}
