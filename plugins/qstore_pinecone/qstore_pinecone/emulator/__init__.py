"""The part of Pinecone's service that its client uses here, on this machine: to try a store on, and for tests."""
