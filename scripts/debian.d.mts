export declare function debianTar(): string
