/** What a template says of how its resources reach each other, without what only ties them together. */

export interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly Metadata?: Readonly<Record<string, unknown>>;
}

export interface Template {
  readonly Resources: Readonly<Record<string, Resource>>;
}

export interface Node {
  /** Its logical id, or the name of a service that is no resource. */
  readonly id: string;
  readonly type: string;
  /** The path of the construct, without the stack's name. */
  readonly path: string;
  readonly inVpc: boolean;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly edges: readonly Edge[];
}

export const ALARM = 'AWS::CloudWatch::Alarm';
export const BEDROCK = 'Amazon Bedrock';

/** What is drawn. Everything else is looked through, or nothing that a request or a message meets. */
const DRAWN: ReadonlySet<string> = new Set([
  ALARM,
  'AWS::ApiGateway::RestApi',
  'AWS::AutoScaling::AutoScalingGroup',
  'AWS::DynamoDB::Table',
  'AWS::ECS::Service',
  'AWS::ElastiCache::ServerlessCache',
  'AWS::ElasticLoadBalancingV2::LoadBalancer',
  'AWS::Events::Rule',
  'AWS::Lambda::Function',
  'AWS::S3::Bucket',
  'AWS::SNS::Topic',
  'AWS::SQS::Queue',
  'AWS::Scheduler::Schedule',
  'AWS::SecretsManager::Secret',
]);

/** Resources that say by a property what they are a part of; what they refer to, their whole refers to. */
const PART_OF: Readonly<Record<string, string>> = {
  'AWS::ApiGateway::Authorizer': 'RestApiId',
  'AWS::ApiGateway::Method': 'RestApiId',
  'AWS::ECS::Service': 'LoadBalancers',
  'AWS::ElasticLoadBalancingV2::Listener': 'LoadBalancerArn',
  'AWS::ElasticLoadBalancingV2::ListenerRule': 'ListenerArn',
  'AWS::IAM::Policy': 'Roles',
  'AWS::Lambda::EventSourceMapping': 'EventSourceArn',
  'AWS::SNS::Subscription': 'TopicArn',
};

/** An alarm also refers to what it watches; what it does is what counts. */
const ONLY: Readonly<Record<string, readonly string[]>> = { [ALARM]: ['AlarmActions', 'InsufficientDataActions'] };

/** Reads the resources that are worth drawing, and who reaches whom by its properties, its role or its parts. */
export function graphOf({ Resources: resources }: Template): Graph {
  const parts = new Map<string, string[]>();
  for (const [id, { Type, Properties = {} }] of Object.entries(resources)) {
    const property = PART_OF[Type];
    if (property === undefined) continue;
    for (const whole of referencesOf(Properties[property])) parts.set(whole, [...(parts.get(whole) ?? []), id]);
  }
  const nodes: Node[] = [];
  const edges: Edge[] = [];
  for (const [id, resource] of Object.entries(resources)) {
    if (!DRAWN.has(resource.Type)) continue;
    const { reached, inVpc, asksBedrock } = reach(id, resources, parts);
    nodes.push({ id, type: resource.Type, path: pathOf(id, resource), inVpc });
    edges.push(...reached.map((to) => ({ from: id, to })));
    if (asksBedrock) edges.push({ from: id, to: BEDROCK });
  }
  if (edges.some(({ to }) => to === BEDROCK)) nodes.push({ id: BEDROCK, type: BEDROCK, path: '', inVpc: false });
  return { nodes, edges };
}

/** The drawn resources that are found from one, through those that aren't drawn. */
function reach(start: string, resources: Template['Resources'], parts: ReadonlyMap<string, readonly string[]>) {
  const seen = new Set([start]);
  const reached: string[] = [];
  let inVpc = false;
  let asksBedrock = false;
  // Grows while it is walked.
  for (const id of seen) {
    const { Type = '', Properties = {} } = resources[id] ?? {};
    if (id !== start && DRAWN.has(Type)) {
      reached.push(id);
      continue;
    }
    if (Type === 'AWS::EC2::Subnet') inVpc = true;
    if (Type === 'AWS::IAM::Policy' && /"bedrock:Invoke/.test(JSON.stringify(Properties))) asksBedrock = true;
    const only = ONLY[Type];
    const read = only === undefined ? Properties : only.map((name) => Properties[name]);
    for (const next of [...referencesOf(read), ...(parts.get(id) ?? [])]) seen.add(next);
  }
  return { reached, inVpc, asksBedrock };
}

/** Logical ids (and pseudo parameters, which are no resources) in `Ref`, `Fn::GetAtt` and `Fn::Sub`. */
function referencesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, content]: [string, unknown]) => {
    if (key === 'Ref') return [String(content)];
    if (key === 'Fn::GetAtt') return [String(Array.isArray(content) ? content[0] : content).split('.')[0] ?? ''];
    if (key === 'Fn::Sub' && typeof content === 'string')
      return [...content.matchAll(/\$\{(\w+)/g)].map(([, id]) => id ?? '');
    return referencesOf(content);
  });
}

function pathOf(id: string, { Metadata }: Resource): string {
  const path = Metadata?.['aws:cdk:path'];
  if (typeof path !== 'string') return id;
  return path
    .split('/')
    .slice(1)
    .filter((part) => part !== 'Resource' && part !== 'Default')
    .join('/');
}
