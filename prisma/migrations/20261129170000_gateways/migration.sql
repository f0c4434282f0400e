-- Proxies that ask, request by request, whether they may pass it on.
CREATE TABLE "gateway" (
    "name" TEXT NOT NULL,
    "resource" TEXT NOT NULL,
    "scope" TEXT[],
    "accept" TEXT[],
    "token_lifetime" INTEGER NOT NULL,
    "forwards_address" BOOLEAN NOT NULL,
    "client_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "gateway_pkey" PRIMARY KEY ("name")
);

CREATE UNIQUE INDEX "gateway_client_id_key" ON "gateway"("client_id");

ALTER TABLE "gateway" ADD CONSTRAINT "gateway_client_id_fkey" FOREIGN KEY ("client_id") REFERENCES "client"("client_id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "gateway" ADD CONSTRAINT "gateway_resource_fkey" FOREIGN KEY ("resource") REFERENCES "resource"("identifier") ON DELETE RESTRICT ON UPDATE CASCADE;
