module github.com/moult-ota/moult

go 1.26
