import dynalite from 'dynalite'

dynalite({ createTableMs: 50, deleteTableMs: 50, updateTableMs: 50 }).listen(Number(process.env.PORT))
