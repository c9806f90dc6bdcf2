import { Stack } from 'aws-cdk-lib';
import { CfnFunction, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { CONSUMERS_ENV } from './serving-config';

/**
 * Of all variables of a function, names and values.
 * https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
const LIMIT_BYTES = 4096;

/** Estimates for values that are known only at deploy: an API key's id, and the ARN of a secret with a long name. */
const KEY_ID_BYTES = 10;
const UNKNOWN_BYTES = 140;

/** What is wrong with the size of a function's environment, if anything. */
export function environmentProblem(fn: LambdaFunction): string | undefined {
  const resource = fn.node.defaultChild;
  if (!(resource instanceof CfnFunction)) return undefined;
  const environment = Stack.of(fn).resolve(resource.environment) as { variables?: Record<string, unknown> } | undefined;
  const variables = Object.entries(environment?.variables ?? {});
  const bytes = variables.reduce((sum, [name, value]) => {
    return sum + name.length + sizeOf(value, name === CONSUMERS_ENV ? KEY_ID_BYTES : UNKNOWN_BYTES);
  }, 0);
  if (bytes <= LIMIT_BYTES) return undefined;
  return `the function's environment variables would take about ${bytes} bytes, and Lambda allows ${LIMIT_BYTES}: shorten the names of consumers and tiers, or spread the consumers over several gateways`;
}

function sizeOf(resolved: unknown, unknownBytes: number): number {
  if (typeof resolved === 'string') return Buffer.byteLength(resolved);
  if (typeof resolved === 'object' && resolved !== null && 'Fn::Join' in resolved) {
    const [separator, parts] = (resolved as { 'Fn::Join': [string, unknown[]] })['Fn::Join'];
    return parts.reduce<number>((sum, part) => sum + separator.length + sizeOf(part, unknownBytes), 0);
  }
  return unknownBytes;
}
