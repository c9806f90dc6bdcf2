import {
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  type IVpc,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import { acknowledgeEndpoints } from '../private/fleet/nag-reasons';
import { requireInteger } from '../private/validation';

/** Properties of a VPC for serving. */
export interface ServingVpcProps {
  /**
   * Availability zones. More of them find a free GPU more easily.
   *
   * @default 3
   */
  readonly maxAzs?: number;

  /**
   * NAT gateways, each about $33 a month and $0.045 a GB: images of public registries, weights of Hugging Face and
   * backends outside AWS need one. With 0 nothing gets out, and VPC endpoints lead to the AWS services that the path
   * needs, each about $7 a month and zone.
   *
   * @default 1
   */
  readonly natGateways?: number;
}

/** What tasks and the gateway's function call. */
const SERVICES = {
  EcrApi: InterfaceVpcEndpointAwsService.ECR,
  EcrDocker: InterfaceVpcEndpointAwsService.ECR_DOCKER,
  Ecs: InterfaceVpcEndpointAwsService.ECS,
  EcsAgent: InterfaceVpcEndpointAwsService.ECS_AGENT,
  EcsTelemetry: InterfaceVpcEndpointAwsService.ECS_TELEMETRY,
  Logs: InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
  SecretsManager: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  BedrockRuntime: InterfaceVpcEndpointAwsService.BEDROCK_RUNTIME,
} as const;

/** A VPC for fleets and the gateway's function, with the ways out that they need and no way in. */
export class ServingVpc extends Construct {
  /** The VPC. */
  public readonly vpc: IVpc;

  constructor(scope: Construct, id: string, props: ServingVpcProps = {}) {
    super(scope, id);
    requireInteger('maxAzs', props.maxAzs, 1);
    requireInteger('natGateways', props.natGateways, 0);
    const natGateways = props.natGateways ?? 1;
    const isolated = natGateways === 0;
    const vpc = new Vpc(this, 'Resource', {
      maxAzs: props.maxAzs ?? 3,
      natGateways,
      subnetConfiguration: isolated
        ? [{ name: 'Isolated', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 20 }]
        : [
            { name: 'Public', subnetType: SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
            { name: 'Private', subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
          ],
      restrictDefaultSecurityGroup: false,
      // Free, and keeps weights and image layers away from the NAT gateway, which charges for each GB.
      gatewayEndpoints: {
        S3: { service: GatewayVpcEndpointAwsService.S3 },
        DynamoDb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
      },
      flowLogs: { Rejected: { trafficType: FlowLogTrafficType.REJECT } },
    });
    if (isolated) {
      for (const [name, service] of Object.entries(SERVICES)) {
        acknowledgeEndpoints(vpc.addInterfaceEndpoint(name, { service }));
      }
    }
    this.vpc = vpc;
  }
}
