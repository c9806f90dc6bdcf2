import { ALARM, BEDROCK, type Graph, type Node } from './graph.ts';

/** What a type is called, and the brackets of its shape: a cylinder for what keeps data. */
const LOOKS: Readonly<Record<string, readonly [name: string, open: string, close: string]>> = {
  [ALARM]: ['CloudWatch alarm', '{{', '}}'],
  [BEDROCK]: ['Amazon Bedrock', '([', '])'],
  'AWS::ApiGateway::RestApi': ['API Gateway', '[', ']'],
  'AWS::AutoScaling::AutoScalingGroup': ['EC2 instances with GPUs', '[', ']'],
  'AWS::DynamoDB::Table': ['DynamoDB table', '[(', ')]'],
  'AWS::ECS::Service': ['ECS service', '[', ']'],
  'AWS::ElastiCache::ServerlessCache': ['ElastiCache', '[(', ')]'],
  'AWS::ElasticLoadBalancingV2::LoadBalancer': ['load balancer', '[', ']'],
  'AWS::Events::Rule': ['EventBridge rule', '([', '])'],
  'AWS::Lambda::Function': ['Lambda', '[', ']'],
  'AWS::S3::Bucket': ['S3 bucket', '[(', ')]'],
  'AWS::SNS::Topic': ['SNS topic', '>', ']'],
  'AWS::SQS::Queue': ['SQS queue', '[[', ']]'],
  'AWS::Scheduler::Schedule': ['schedule', '([', '])'],
  'AWS::SecretsManager::Secret': ['secret', '[(', ')]'],
};

/** A flowchart in Mermaid, which GitHub draws in the reader's colors. The same graph gives the same text. */
export function mermaidOf(graph: Graph): string {
  const { nodes, edges } = withoutTwins(graph);
  // No logical ids: their hashes would change the text without changing the picture.
  const names = new Map(nodes.map(({ id }, index) => [id, `n${index + 1}`]));
  const draw = ({ id, type, path, count }: Counted): string => {
    const [name, open, close] = LOOKS[type] ?? [type, '[', ']'];
    const title = count > 1 ? `${count} ${name}s` : name;
    return `${names.get(id)}${open}"${title}${path === '' ? '' : `<br>${path}`}"${close}`;
  };
  const pairs = new Set(edges.map(({ from, to }) => `${from} ${to}`));
  const arrows = edges.flatMap(({ from, to }) => {
    const both = pairs.has(`${to} ${from}`);
    // Once for both directions.
    if (both && (names.get(from) ?? '').localeCompare(names.get(to) ?? '', 'en', { numeric: true }) > 0) return [];
    return [`  ${names.get(from)} ${both ? '<-->' : '-->'} ${names.get(to)}`];
  });
  const inside = nodes.filter(({ inVpc }) => inVpc);
  const vpc = inside.length === 0 ? [] : ['  subgraph VPC', ...inside.map((node) => `    ${draw(node)}`), '  end'];
  const entries = nodes.filter(({ type }) => type === 'AWS::ApiGateway::RestApi');
  return [
    'flowchart LR',
    ...(entries.length === 0 ? [] : ['  clients(["clients"])']),
    ...nodes.filter(({ inVpc }) => !inVpc).map((node) => `  ${draw(node)}`),
    ...vpc,
    ...entries.map(({ id }) => `  clients --> ${names.get(id)}`),
    ...arrows,
  ].join('\n');
}

interface Counted extends Node {
  readonly count: number;
}

/** Alarms that do the same are drawn as one, under the path that they share. */
function withoutTwins({ nodes, edges }: Graph): { nodes: readonly Counted[]; edges: Graph['edges'] } {
  const targets = (id: string) => edges.flatMap(({ from, to }) => (from === id ? [to] : [])).sort();
  const first = new Map<string, Counted>();
  for (const node of nodes) {
    const key = node.type === ALARM ? `alarms of ${targets(node.id).join(' ')}` : node.id;
    const twin = first.get(key);
    first.set(
      key,
      twin === undefined
        ? { ...node, count: 1 }
        : { ...twin, count: twin.count + 1, path: sharedPath(twin.path, node.path) },
    );
  }
  const kept = new Set([...first.values()].map(({ id }) => id));
  return { nodes: [...first.values()], edges: edges.filter(({ from, to }) => kept.has(from) && kept.has(to)) };
}

function sharedPath(a: string, b: string): string {
  const [parts, others] = [a.split('/'), b.split('/')];
  const end = parts.findIndex((part, index) => part !== others[index]);
  return parts.slice(0, end === -1 ? undefined : end).join('/');
}
